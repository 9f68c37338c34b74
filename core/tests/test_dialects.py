from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith.agent import solve, worked_examples
from callsmith.backends import Completion, Message, ScriptedBackend
from callsmith.chain import Call, Chain, Dialect, Fault, Problem, Result, Step
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.functions import function
from callsmith.isolation import Workers


@function(examples=[{"a": 1, "b": 2}], inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


@function(inline=True)
def divide(a: float, b: float) -> float:
    """Divide a by b."""
    return a / b


FUNCTIONS = {
    "add": add,
    "divide": divide,
    "reasoning": reasoning,
    "answer": answer_function({"type": "number"}),
}
PROBLEM = Problem("What is (1 + 2) / 3?", 1, "Numbers.")


def prompt(dialect: Dialect = "text", **settings: Any) -> Prompt:
    return Prompt("Solve it.", FUNCTIONS, dialect=dialect, **settings)


def called(name: str, given: Any, /, **arguments: Any) -> Step:
    """A native step with one call and what it gave, a value or a fault."""
    result = Result(fault=given) if isinstance(given, Fault) else Result(given)
    return Step(calls=(Call(name, arguments),), results=(result,))


NATIVE_STEPS = (
    called("add", 3, a=1, b=2),
    called("divide", Fault("function_error", "divide: division by zero"), b=0, a=3),
    replace(called("divide", 1.0, a=3, b=3), text="I see."),
    called("answer", 1.0, value=1.0),
)


def contents(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


async def chain_of(shown: Prompt, *turns: str | Completion) -> tuple[Chain, list[Message]]:
    """The chain that these turns give, and the conversation that the last of them was asked in."""
    backend = ScriptedBackend(turns)
    async with Workers() as workers:
        chain = await solve(PROBLEM, backend, shown, workers)
    return chain, list(backend.requests[-1].messages)


# ---- what stands before the problem -------------------------------------------------------------


def test_the_text_prompt_has_the_instructions_each_functions_help_and_the_rules() -> None:
    (system,) = prompt().messages
    assert system["role"] == "system"
    assert system["content"].startswith("Solve it.\n\nYou can call these functions:\n\nadd(a: ")
    for chosen in FUNCTIONS.values():
        assert chosen.help in system["content"]
    assert "name(argument=value)" in system["content"]
    assert prompt().tools == ()


def test_the_native_prompt_leaves_the_functions_to_the_tools() -> None:
    (system,) = prompt("native").messages
    assert "add" not in system["content"]
    assert [tool["function"]["name"] for tool in prompt("native").tools] == list(FUNCTIONS)


def test_the_hash_is_of_everything_that_the_model_is_shown_before_the_problem() -> None:
    shown = prompt()
    example = Chain(PROBLEM, steps=NATIVE_STEPS)
    changes: list[Prompt] = [
        prompt("native"),
        prompt(tool_role=True),
        prompt(examples=(example,)),
        replace(shown, instructions="Do it."),
        replace(shown, functions={"add": add}),
    ]
    assert len({shown.hash, *(changed.hash for changed in changes)}) == 6
    assert prompt().hash == shown.hash


async def test_worked_examples_are_shown_with_what_their_calls_really_gave() -> None:
    plan = [Call("add", {"a": 2, "b": 3}), Call("answer", {"value": 5})]
    async with Workers() as workers:
        examples = await worked_examples([(Problem("2 + 3?"), plan)], prompt(), workers)
    shown = prompt(examples=examples).conversation(PROBLEM)
    assert contents(shown)[1:] == [
        ("user", "2 + 3?"),
        ("assistant", "add(a=2, b=3)"),
        ("user", "5"),
        ("assistant", "answer(value=5)"),
        ("user", "Numbers.\n\nWhat is (1 + 2) / 3?"),
    ]
    native = prompt("native", examples=examples).conversation(PROBLEM)
    assert [message["role"] for message in native] == (
        ["system", "user", "assistant", "tool", "assistant", "tool", "user"]
    )


# ---- the text dialect ---------------------------------------------------------------------------


async def test_in_text_a_turn_is_its_own_words_and_results_come_line_by_line() -> None:
    chain, seen = await chain_of(
        prompt(), "First:\nadd(1, 2)\ndivide(a=3, b=0)", "hm", "answer(value=1)"
    )
    assert contents(seen)[2:] == [
        ("assistant", "First:\nadd(1, 2)\ndivide(a=3, b=0)"),
        ("user", "3\nError: divide: division by zero"),
        ("assistant", "hm"),
        ("user", f"Error: {chain.steps[1].faults[0].message}"),
    ]
    whole = prompt().conversation(PROBLEM, chain.steps)
    assert contents(whole) == [*contents(seen), ("assistant", "answer(value=1)")]


async def test_a_fault_of_the_turn_comes_after_the_results_of_its_calls() -> None:
    _, seen = await chain_of(prompt(), "add(1, 2)\nadd(3,", "answer(1)")
    role, said = contents(seen)[-1]
    assert role == "user"
    assert said.startswith("3\nError: add(…) can't be read: ')' is missing. Usage: add(")


async def test_results_have_the_tool_role_where_the_template_has_one() -> None:
    _, seen = await chain_of(prompt(tool_role=True), "add(1, 2)", "answer(3)")
    assert contents(seen)[-1] == ("tool", "3")


async def test_failed_turns_are_forgotten_where_that_is_asked_for_but_stay_on_the_chain() -> None:
    turns = ("add(1", "add(1, 2)\ndivide(1, 0)", "add(1, 2)", "answer(3)")
    chain, seen = await chain_of(prompt(forget_faults=True), *turns)
    assert contents(seen)[2:] == [("assistant", "add(1, 2)"), ("user", "3")]
    assert len(chain.steps) == 4
    # To train on a failed turn it is shown, last, and only there.
    failed = prompt(forget_faults=True).conversation(PROBLEM, chain.steps[:2])
    assert [said for _, said in contents(failed)[2:]] == [
        turns[1],
        "3\nError: divide: division by zero",
    ]


def test_a_native_chain_is_written_as_text_in_the_functions_order() -> None:
    text = prompt().conversation(PROBLEM, NATIVE_STEPS, written="native")
    assert contents(text)[2:] == [
        ("assistant", "add(a=1, b=2)"),
        ("user", "3"),
        ("assistant", "divide(a=3, b=0)"),
        ("user", "Error: divide: division by zero"),
        ("assistant", "I see.\ndivide(a=3, b=3)"),
        ("user", "1.0"),
        ("assistant", "answer(value=1.0)"),
    ]


# ---- the native dialect -------------------------------------------------------------------------


def test_in_native_calls_are_tool_calls_and_every_result_answers_one_by_its_id() -> None:
    step = Step(
        "Both.",
        (Call("add", {"a": 1, "b": 2}), Call("divide", {"a": 1, "b": 0}, id="mine")),
        (Result(3), Result(fault=Fault("function_error", "no"))),
    )
    turn = prompt("native").conversation(PROBLEM, [step])[2:]
    assert turn == [
        {
            "role": "assistant",
            "content": "Both.",
            "tool_calls": [
                {
                    "id": "c00000000",
                    "type": "function",
                    "function": {"name": "add", "arguments": {"a": 1, "b": 2}},
                },
                {
                    "id": "mine",
                    "type": "function",
                    "function": {"name": "divide", "arguments": {"a": 1, "b": 0}},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c00000000", "name": "add", "content": "3"},
        {"role": "tool", "tool_call_id": "mine", "name": "divide", "content": "Error: no"},
    ]


def test_a_native_turn_without_a_call_is_answered_by_the_user() -> None:
    step = Step("Well.", fault=Fault("no_call", "there is no call in that"))
    turn = prompt("native").conversation(PROBLEM, [step])[2:]
    assert contents(turn) == [("assistant", "Well."), ("user", "Error: there is no call in that")]


async def test_a_text_chain_is_shown_as_native_calls_without_its_words() -> None:
    chain, _ = await chain_of(prompt(), "Let me add: add(1, 2)", "answer(3)")
    native = prompt("native").conversation(PROBLEM, chain.steps, written="text")
    assert [message["content"] for message in native[2:]] == ["", "3", "", "3"]
    assert native[2]["tool_calls"][0]["function"]["arguments"] == {"a": 1, "b": 2}


async def test_calls_that_a_native_model_wrote_into_its_text_are_shown_once() -> None:
    said = 'I add.\n<tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call>'
    chain, seen = await chain_of(prompt("native"), said, "answer(value=3)")
    assert [call.name for call in chain.calls] == ["add", "answer"]
    assert seen[2]["content"] == "I add."
    assert chain.steps[0].text == said
    text = prompt().conversation(PROBLEM, chain.steps, written="native")
    assert contents(text)[2] == ("assistant", "I add.\nadd(a=1, b=2)")


async def test_a_chain_goes_from_native_to_text_and_back_by_its_words_alone() -> None:
    """What a native chain is written as in text is read back as the same calls."""
    text = prompt().conversation(PROBLEM, NATIVE_STEPS, written="native")
    said = [content for role, content in contents(text) if role == "assistant"]
    read = [prompt().read(Completion(turn)) for turn in said]
    assert [calls for calls, _ in read] == [step.calls for step in NATIVE_STEPS]
    assert all(fault is None for _, fault in read)


# ---- any chain ----------------------------------------------------------------------------------

turns = st.sampled_from(
    [
        "add(1, 2)",
        "add(1, 2)\nadd(3, 4)",
        "divide(1, 0)",
        "add(1,",
        "",
        "hm",
        "nothing(1)",
        "add(1, 2)\nadd(3",
        "answer('x')",
        "add(1, 2)\nanswer(value=3)",
    ]
)


@given(
    st.lists(turns, max_size=6), st.booleans(), st.booleans(), st.sampled_from(["text", "native"])
)
async def test_roles_alternate_in_text_whatever_the_model_does(
    said: list[str], tool_role: bool, forget: bool, written: Dialect
) -> None:
    example, _ = await chain_of(prompt("native"), "add(1, 2)", "hm", "answer(3)")
    shown = prompt(tool_role=tool_role, forget_faults=forget, examples=(example,))
    writing = replace(shown, dialect=written)
    chain, seen = await chain_of(writing, *said, "answer(1)")
    if written == "text":
        whole = shown.conversation(PROBLEM, [s for s in chain.steps if shown.shows(s)])
        assert whole[: len(seen)] == seen, "the loop and the renderer show the same"
    messages = shown.conversation(PROBLEM, chain.steps, written=written)
    roles = ["reply" if m["role"] in ("user", "tool") else m["role"] for m in messages[1:]]
    assert roles == ["reply", "assistant"] * (len(roles) // 2) + ["reply"] * (len(roles) % 2)
    assert all(isinstance(m["content"], str) for m in messages)
    json.dumps(messages)


@given(st.lists(turns, max_size=6))
async def test_every_native_call_is_answered_before_the_next_turn(said: list[str]) -> None:
    chain, seen = await chain_of(prompt("native"), *said, "answer(1)")
    messages = prompt("native").conversation(PROBLEM, chain.steps)
    assert messages[: len(seen)] == seen
    owed: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == owed.pop(0)
        else:
            assert not owed
            owed = [call["id"] for call in message.get("tool_calls", ())]
    assert not owed


# ---- reading ------------------------------------------------------------------------------------


def test_a_turn_without_a_call_is_told_what_there_is_to_call() -> None:
    calls, fault = prompt().read(Completion("The answer is 72."))
    assert calls == ()
    assert fault == Fault(
        "no_call", "there is no call in that; call one of add, divide, reasoning, answer"
    )


def test_a_turn_that_was_cut_off_is_told_so_but_its_whole_calls_count() -> None:
    calls, fault = prompt().read(Completion("add(1, 2)\nadd(3,", finish="length"))
    assert [call.name for call in calls] == ["add"]
    assert fault is not None
    assert fault.kind == "truncated"
    assert prompt().read(Completion("add(1, 2)", finish="length"))[1] is None


def test_text_that_a_model_writes_as_json_is_read_in_the_native_dialect_alone() -> None:
    said = Completion('{"name": "add", "arguments": {"a": 1, "b": 2}}')
    assert prompt("native").read(said)[0] == (Call("add", {"a": 1, "b": 2}),)
    assert prompt("native").read(Completion("[add(a=1, b=2)]"))[0] == (
        Call("add", {"a": 1, "b": 2}),
    )
    assert prompt().read(said)[0] == ()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [({"a": float("nan")}, "infinite"), ({"a": json.loads("[" * 400 + "]" * 400)}, "nested")],
)
def test_a_servers_call_that_could_not_be_recorded_is_a_fault(arguments: Any, why: str) -> None:
    good = Call("add", {"a": 1})
    calls, fault = prompt("native").read(Completion(calls=(good, Call("add", arguments), good)))
    assert calls == (good,)
    assert fault is not None
    assert why in fault.message


def test_half_characters_in_a_servers_call_are_replaced() -> None:
    calls, fault = prompt("native").read(Completion(calls=(Call("add", {"a": "\ud83d"}),)))
    assert calls == (Call("add", {"a": "\ufffd"}),)
    assert fault is None


def test_in_json_calls_are_written_as_json_and_the_help_shows_how() -> None:
    made = prompt("json")
    system = made.messages[0]["content"]
    assert 'Example: {"call": {"name": "add", "arguments": {"a": 1, "b": 2}}} -> 3' in system
    assert made.tools == ()
    turns = made.conversation(PROBLEM, NATIVE_STEPS[:3], "native")[2:]
    assert contents(turns) == [
        ("assistant", '{"call": {"name": "add", "arguments": {"a": 1, "b": 2}}}'),
        ("user", "3"),
        ("assistant", '{"call": {"name": "divide", "arguments": {"a": 3, "b": 0}}}'),
        ("user", "Error: divide: division by zero"),
        ("assistant", 'I see.\n{"call": {"name": "divide", "arguments": {"a": 3, "b": 3}}}'),
        ("user", "1.0"),
    ]


@pytest.mark.parametrize("dialect", ["text", "json", "native"])
def test_what_a_prompt_writes_it_reads(dialect: Dialect) -> None:
    """A chain of any dialect, shown in another, reads as the same calls there."""
    made = prompt(dialect)
    for step in NATIVE_STEPS:
        message = made.turn(step, 0, "native")[0]
        if dialect != "native":
            assert made.read(Completion(message["content"])) == (step.calls, None)


def test_a_json_turn_is_shown_to_others_by_its_calls_alone() -> None:
    written = '{"call": {"name": "add", "arguments": {"a": 1, "b": 2}}}'
    step = replace(called("add", 3, a=1, b=2), text=written)
    assert prompt("json").turn(step, 0)[0]["content"] == written
    assert prompt("text").turn(step, 0, "json")[0]["content"] == "add(a=1, b=2)"
    native = prompt("native").turn(step, 0, "json")[0]
    assert native["content"] == ""
    assert native["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1, "b": 2}}


def test_ids_are_never_used_twice() -> None:
    """Not in a turn where the server repeats itself, nor between the examples and the problem."""
    twice = Completion(calls=(Call("add", {}, "x"), Call("add", {}, "x"), Call("add", {}, "y")))
    calls, _ = prompt("native").read(twice)
    assert [call.id for call in calls] == ["", "", "y"]
    example = Chain(Problem("?"), steps=NATIVE_STEPS)
    shown = prompt("native", examples=(example, example))
    ids = [
        call["id"]
        for message in shown.conversation(PROBLEM, (*NATIVE_STEPS, Step(calls=calls, results=())))
        for call in message.get("tool_calls", ())
    ]
    assert len(ids) == len(set(ids)) == 3 * len(NATIVE_STEPS) + 3
    assert all(re.fullmatch("[a-z0-9]{9}", id) for id in ids if id != "y")


def test_a_constrained_prompt_asks_for_what_its_dialect_can_be_held_to() -> None:
    assert prompt("json").constraint is None
    held = prompt("json", constrained=True).constraint
    assert held
    assert held.schema
    assert not held.grammar
    held = prompt("text", constrained=True).constraint
    assert held
    assert held.grammar
    assert held.schema is None
