from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsmith.agent import Limits, solve, worked_examples
from callsmith.backends import (
    Completion,
    Previous,
    ReplayBackend,
    Request,
    ScriptedBackend,
    open_reference,
)
from callsmith.chain import (
    JSON,
    Call,
    Chain,
    Dialect,
    Fault,
    FaultKind,
    Problem,
    Result,
    Sampling,
    Setup,
    Step,
    Stop,
    Usage,
    Verdict,
    digest,
    dump,
    load_chain,
    load_problem,
)
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import ContextOverflow, ModelFault, PluginError, Rejected, Unavailable
from callsmith.functions import Context, Function, function
from callsmith.isolation import Workers
from callsmith.tasks import BaseTask

PROBLEM = Problem("How many?", 3, "A box holds 1 and 2.", "p1", meta={"hops": 2})


@function(inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


@function(inline=True)
def push(item: str, ctx: Context) -> int:
    """Put an item on the pile."""
    ctx.state = [*(ctx.state or []), item]
    return len(ctx.state)


@function(inline=True)
def draw(ctx: Context) -> str:
    """Draw a card."""
    ctx.state = [*(ctx.state or []), "a card"]
    return "drawn"


def prompt(*functions: Function, dialect: Dialect = "text", **settings: Any) -> Prompt:
    chosen = {f.name: f for f in (functions or (add, push, draw))}
    controls = {"reasoning": reasoning, "answer": answer_function({"type": "number"})}
    return Prompt("Solve it.", chosen | controls, dialect=dialect, **settings)


async def chain_of(
    *turns: Any, shown: Prompt | None = None, limits: Limits | None = None, **settings: Any
) -> Chain:
    """What comes of a model that says these turns, the last one for ever."""
    async with Workers() as workers:
        return await solve(
            PROBLEM, ScriptedBackend(turns), shown or prompt(), workers, limits=limits, **settings
        )


# ---- how a chain ends ---------------------------------------------------------------------------


async def test_an_answer_ends_the_chain() -> None:
    chain = await chain_of("add(1, 2)", "answer(value=3)", "add(1, 1)")
    assert (chain.stop, chain.answer, len(chain.steps)) == ("answer", 3, 2)
    assert [step.answers for step in chain.steps] == [False, True]


def growing(request: Request) -> str:
    """A turn that no other is like."""
    return f"add({len(request.steps)}, 1)"


def too_long(request: Request) -> ContextOverflow | None:
    """For a model that could read the prompt, but not with the problem."""
    whole = PROBLEM.question in str(request.messages)
    return ContextOverflow("too long: 90 of 80 tokens") if whole else None


def alternating(request: Request) -> str:
    """Two turns in turn."""
    return f"add({len(request.steps) % 2}, 1)"


def returning(request: Request) -> str:
    """A turn that comes back after one that no other is like."""
    return "add(1, 2)" if len(request.steps) % 2 else growing(request)


@pytest.mark.parametrize(
    ("turns", "limits", "stop", "steps"),
    [
        ([growing], Limits(), "steps", 24),
        ([growing], Limits(steps=3), "steps", 3),
        (["add(1, 2)"], Limits(), "repeated", 3),
        (["add(1, 2)", "add(b=2, a=1)"], Limits(), "repeated", 3),
        (["add(1, 'x')"], Limits(), "repeated", 3),
        ([alternating], Limits(), "repeated", 6),  # round in a circle
        ([returning], Limits(), "steps", 24),  # something new in between
        (["push('x')"], Limits(steps=5), "steps", 5),  # the same call gives something else
        (["draw()"], Limits(steps=5), "steps", 5),  # or leads to another state
        ([growing], Limits(calls=4), "calls", 4),
        ([lambda r: f"{growing(r)}\nadd(0.5, {len(r.steps)})"], Limits(calls=4), "calls", 2),
        (["hm"], Limits(), "gave_up", 2),
        (["", ""], Limits(idle=3), "gave_up", 3),
        (["add(1, 2)", "hm", "add(1, 3)", "hm", "add(1, 4)", "hm", "hm"], Limits(), "gave_up", 7),
        ([lambda r: too_long(r) or "hm"], Limits(), "context", 0),
        (["add(1, 2)", ContextOverflow("too long")], Limits(), "context", 1),
    ],
)
async def test_every_other_stop_has_no_answer(
    turns: list[Any], limits: Limits, stop: Stop, steps: int
) -> None:
    chain = await chain_of(*turns, limits=limits)
    assert (chain.stop, chain.answer, len(chain.steps)) == (stop, None, steps)


async def test_a_conversation_that_does_not_fit_says_so_on_its_chain() -> None:
    late = ("add(1, 2)", ContextOverflow("too long: 90 of 80 tokens"))
    for turns in (lambda r: too_long(r) or "hm",), late:
        chain = await chain_of(*turns)
        assert (chain.stop, chain.faults) == ("context", ()), "it is not the model's mistake"
        assert chain.note == "too long: 90 of 80 tokens"
        assert load_chain(dump(chain)).note == chain.note


async def test_a_prompt_that_does_not_fit_whatever_the_problem_is_the_users_to_mend() -> None:
    """Else a window that is too small would be recorded as so many wrong answers."""
    with pytest.raises(Rejected, match=r"not fit by themselves \(too long\).*num_ctx.*--shots"):
        await chain_of(ContextOverflow("too long"))


async def test_tokens_are_those_that_the_model_wrote() -> None:
    def turn(request: Request) -> Completion:
        return Completion(growing(request), usage=Usage(prompt=1000, completion=40))

    chain = await chain_of(turn, limits=Limits(tokens=100))
    assert (chain.stop, len(chain.steps)) == ("tokens", 3)
    assert chain.usage == Usage(3000, 120)


async def test_the_time_limit_is_looked_at_between_turns() -> None:
    @function(timeout=5)
    async def wait(n: int) -> int:
        """Wait."""
        await asyncio.sleep(0.3)
        return n

    chain = await chain_of(
        lambda request: f"wait({len(request.steps)})",
        shown=prompt(wait),
        limits=Limits(seconds=0.5),
    )
    assert (chain.stop, len(chain.steps)) == ("seconds", 2)
    assert chain.seconds >= 0.5
    assert all(step.seconds >= 0.3 for step in chain.steps)


async def test_the_time_of_turns_is_not_held_against_the_chain() -> None:
    """A server that is slow, or has others to serve first, would make wrong answers."""

    class Slow(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            await asyncio.sleep(0.1)
            return await super().complete(request)

    backend = Slow(["add(1, 2)", "answer(3)"])
    async with Workers() as workers:
        chain = await solve(PROBLEM, backend, prompt(), workers, limits=Limits(seconds=0.05))
    assert (chain.stop, chain.answer) == ("answer", 3)
    assert chain.seconds >= 0.2


async def test_calls_that_are_too_late_are_not_made() -> None:
    @function(timeout=5)
    async def wait(n: int) -> int:
        """Wait."""
        await asyncio.sleep(0.1)
        return n

    turn = "\n".join(f"wait({n})" for n in range(50))
    chain = await chain_of(turn, shown=prompt(wait), limits=Limits(seconds=0.3))
    assert chain.stop == "seconds"
    assert 1 <= len(chain.calls) == len(chain.results) < 50


async def test_a_turn_makes_no_more_calls_than_the_chain_may() -> None:
    chain = await chain_of("\n".join(f"add({n}, 1)" for n in range(1000)), limits=Limits(calls=5))
    assert (chain.stop, len(chain.calls), len(chain.results)) == ("calls", 5, 5)


# ---- turns --------------------------------------------------------------------------------------


async def test_all_calls_of_a_turn_are_run_in_order_also_after_one_that_fails() -> None:
    chain = await chain_of("push('a')\nadd(1)\nnothing(2)\npush('b')", "answer(2)")
    step = chain.steps[0]
    assert [call.name for call in step.calls] == ["push", "add", "nothing", "push"]
    assert [result.value for result in step.results] == [1, None, None, 2]
    assert [fault.kind for fault in step.faults] == ["bad_arguments", "unknown_function"]
    assert step.state == ["a", "b"]


async def test_what_follows_an_answer_in_its_turn_is_not_run_and_no_fault() -> None:
    chain = await chain_of("add(1, 2)\nanswer(3)\npush('late')\nadd(1")
    assert [call.name for call in chain.calls] == ["add", "answer"]
    assert (chain.stop, chain.answer, chain.faults) == ("answer", 3, ())
    assert chain.steps[0].state is None


async def test_an_answer_of_the_wrong_type_is_a_fault_and_the_chain_goes_on() -> None:
    chain = await chain_of("answer(value='three')", "answer(value=3)")
    assert [fault.kind for fault in chain.faults] == ["bad_arguments"]
    assert (chain.stop, chain.answer) == ("answer", 3)


async def test_the_calls_before_one_that_cannot_be_read_are_run() -> None:
    chain = await chain_of("add(1, 2)\nadd(3,", "answer(3)")
    step = chain.steps[0]
    assert [result.value for result in step.results] == [3]
    assert step.fault is not None
    assert step.fault.kind == "unparsable"


async def test_what_the_server_could_not_read_is_the_models_fault() -> None:
    written = Completion('{"name": "ad', (), "length", Usage(50, 7), "Add them.", "m-1")
    turn = ModelFault("error parsing tool call:\nunexpected end", written)
    chain = await chain_of("add(1, 2)", turn, "answer(3)")
    assert chain.stop == "answer"
    step = chain.steps[1]
    assert step.fault == Fault("model", "error parsing tool call: unexpected end")
    assert (step.text, step.finish, step.reasoning) == ('{"name": "ad', "length", "Add them.")
    assert (step.model, step.usage) == ("m-1", Usage(50, 7))
    assert chain.usage == Usage(50, 7), "a turn that failed was paid for all the same"


async def test_tokens_of_turns_that_fail_count_for_the_limit() -> None:
    turn = ModelFault("it makes no sense", Completion(usage=Usage(10, 40)))
    chain = await chain_of(turn, limits=Limits(tokens=80, idle=9))
    assert (chain.stop, len(chain.steps)) == ("tokens", 2)


@pytest.mark.parametrize("error", [Rejected("no such model"), Unavailable("away")])
async def test_what_others_must_mend_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await chain_of("add(1, 2)", error)


async def test_a_step_keeps_what_the_backend_said_of_it() -> None:
    turn = Completion(
        "answer(3)", finish="stop", usage=Usage(5, 2, 1, 1), reasoning="so", model="m"
    )
    (step,) = (await chain_of(turn)).steps
    assert (step.text, step.finish, step.reasoning, step.model) == ("answer(3)", "stop", "so", "m")
    assert step.usage == Usage(5, 2, 1, 1)
    assert step.seconds > 0


async def test_each_step_is_told_as_it_is_made() -> None:
    seen: list[Step] = []
    chain = await chain_of("add(1, 2)", "hm", "answer(3)", on_step=seen.append)
    assert tuple(seen) == chain.steps


async def test_the_state_after_each_step_is_recorded() -> None:
    chain = await chain_of("push('a')", "add(1, 2)", "push('b')", "answer(2)")
    assert [step.state for step in chain.steps] == [["a"], ["a"], ["a", "b"], ["a", "b"]]


async def test_chains_share_no_state() -> None:
    for _ in range(2):
        assert (await chain_of("push('a')", "answer(1)")).results[0].value == 1


async def test_functions_see_the_problem_without_its_gold_answer() -> None:
    seen: list[Problem] = []

    @function(inline=True)
    def look(ctx: Context) -> str:
        """Look at the problem."""
        seen.append(ctx.problem)
        return ctx.problem.text

    chain = await chain_of("look()", "answer(3)", shown=prompt(look))
    assert chain.results[0].value == "A box holds 1 and 2.\n\nHow many?"
    assert seen == [Problem("How many?", context="A box holds 1 and 2.", id="p1")]
    assert chain.problem == PROBLEM


async def test_the_model_is_not_shown_the_gold_answer() -> None:
    secret = Problem("How many?", "g0ld", meta={"solution": "g0ld"})
    backend = ScriptedBackend(["hm"])
    async with Workers() as workers:
        await solve(secret, backend, prompt(), workers)
    for request in backend.requests:
        assert "g0ld" not in json.dumps(request.messages)


async def test_the_backend_is_asked_with_the_chains_seed_and_sampling() -> None:
    backend = ScriptedBackend(["add(1, 2)", "answer(3)"])
    sampling = Sampling(temperature=0.5, max_tokens=9)
    setup = Setup(model="m", task="t")
    async with Workers() as workers:
        chain = await solve(
            PROBLEM,
            backend,
            prompt(),
            workers,
            sampling=sampling,
            setup=setup,
            seed=7,
            attempt=2,
            run="r",
        )
    assert [(r.seed, r.attempt, r.sampling, len(r.steps)) for r in backend.requests] == [
        (7, 2, sampling, 0),
        (7, 2, sampling, 1),
    ]
    assert (chain.seed, chain.attempt, chain.run, chain.setup) == (7, 2, "r", setup)


# ---- plans --------------------------------------------------------------------------------------


class Sums(BaseTask):
    name = "sums"

    def reference(self, problem: Problem) -> Sequence[Call]:
        return [
            Call("add", {"a": 1, "b": 2}, expected=3),
            Call("add", {"a": Previous(), "b": Previous(1)}, expected=7),
            Call("add", {"a": Previous(2), "b": 0}),
            Call("answer", {"value": Previous(2)}),
        ]


async def test_a_reference_chain_is_executed_and_answers_with_what_its_calls_gave() -> None:
    backend = open_reference("", task=Sums())
    async with Workers() as workers:
        chain = await solve(PROBLEM, backend, prompt(dialect="native"), workers)
    assert [result.value for result in chain.results] == [3, 6, 3, 6]
    assert (chain.stop, chain.answer) == ("answer", 6)
    assert [result.note for result in chain.results] == ["", "recorded as 7", "", ""]
    assert chain.faults == ()


async def test_a_plan_may_use_earlier_results_anywhere_in_its_arguments() -> None:
    @function(inline=True)
    def total(xs: list[float], by: dict[str, list[float]]) -> float:
        """Add all."""
        return sum(xs) + sum(by["more"])

    calls = [
        Call("add", {"a": 1, "b": 2}),
        Call("total", {"xs": [Previous(), 1], "by": {"more": [Previous()]}}),
        Call("answer", {"value": Previous()}),
    ]
    async with Workers() as workers:
        backend = ReplayBackend("plan", lambda problem, attempt: calls)
        chain = await solve(PROBLEM, backend, prompt(add, total, dialect="native"), workers)
    assert (chain.stop, chain.answer) == ("answer", 7)


async def test_a_plan_that_ends_without_an_answer_gives_up() -> None:
    backend = ReplayBackend("plan", lambda problem, attempt: [Call("add", {"a": 1, "b": 2})])
    async with Workers() as workers:
        chain = await solve(PROBLEM, backend, prompt(dialect="native"), workers)
    assert (chain.stop, chain.answer) == ("gave_up", None)
    assert [fault.kind for fault in chain.faults] == ["no_call", "no_call"]


def test_a_task_without_reference_chains_is_no_teacher() -> None:
    with pytest.raises(Rejected, match="is no server: it replays chains, so name a task"):
        open_reference("", task=None)


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([Call("add", {"a": 1})], "add needs 'b'"),
        ([Call("add", {"a": 1, "b": 2})], "there is no call in that"),
        ([Call("add", {"a": 1, "b": 2}), Call("subtract")], "no function 'subtract'"),
    ],
)
async def test_a_worked_example_that_does_not_work_is_named(calls: list[Call], why: str) -> None:
    async with Workers() as workers:
        with pytest.raises(PluginError, match=f"the worked example 'How many[?]' fails: .*{why}"):
            await worked_examples([(PROBLEM, calls)], prompt(dialect="native"), workers)


# ---- the record ---------------------------------------------------------------------------------

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
values: st.SearchStrategy[JSON] = st.recursive(
    finite,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=3)
faults = st.builds(Fault, st.sampled_from(get_args(FaultKind)), texts)
seconds = st.floats(0, 1e6)
counts = st.integers(0, 2**40)
usages = st.builds(Usage, counts, counts, counts, counts)
samplings = st.builds(Sampling, seconds, seconds, counts, st.tuples(texts), objects)
dialects = st.sampled_from(get_args(Dialect))
setups = st.builds(Setup, texts, texts, texts, dialects, samplings, st.booleans(), texts, texts)
results = st.builds(Result, values, st.none() | faults, seconds, texts)
calls = st.builds(Call, texts, objects, texts, values)
steps = st.builds(
    Step,
    texts,
    st.lists(calls, max_size=2).map(tuple),
    st.lists(results, max_size=2).map(tuple),
    st.none() | faults,
    texts,
    texts,
    usages,
    seconds,
    values,
    texts,
    st.booleans(),
)
problems = st.builds(Problem, texts, values, texts, texts, objects)
chains = st.builds(
    Chain,
    problems,
    setups,
    st.lists(steps, max_size=3).map(tuple),
    st.sampled_from(get_args(Stop)),
    values,
    texts,
    counts,
    counts,
    texts,
    seconds,
    texts,
)


def same(a: JSON, b: JSON) -> bool:
    """Equal, and of the same types: 1 is not 1.0, nor True."""
    return a == b and repr(a) == repr(b)


@settings(max_examples=50)
@given(chains)
def test_any_chain_comes_back_from_json_as_it_was(chain: Chain) -> None:
    line = dump(chain)
    assert "\n" not in line
    assert same(load_chain(line), chain)
    assert same(load_problem(dump(chain.problem)), chain.problem)
    assert same(json.loads(line)["version"], 1)


@given(st.lists(st.text(max_size=40) | st.sampled_from(["add(1,", "\ud800", "answer('\\ud800')"])))
async def test_whatever_a_model_says_is_a_chain_that_can_be_recorded(said: list[str]) -> None:
    chain = await chain_of(*said, "answer(3)", limits=Limits(steps=4))
    assert same(load_chain(dump(chain)), chain)


async def test_values_that_no_json_holds_never_reach_the_record() -> None:
    deep = json.loads("[" * 500 + "]" * 500)
    said = [
        Completion(calls=(Call("add", {"a": deep, "b": 1}),)),
        Completion(calls=(Call("add", {"a": float("nan"), "b": 1}), Call("answer", {"value": 3}))),
        Completion("\ud800", calls=(Call("push", {"item": "\ud800"}),), reasoning="\udfff"),
        Completion('{"name": "add", "arguments": {"a": 1e999, "b": 1}}'),
        ModelFault("half \ud800", Completion("half \ud800")),
        Completion(calls=(Call("answer", {"value": 3}),)),
    ]
    chain = await chain_of(*said, shown=prompt(dialect="native"), limits=Limits(idle=9))
    assert chain.stop == "answer"
    assert same(load_chain(dump(chain)), chain)
    kinds = [fault.kind for fault in chain.faults]
    assert kinds == ["unparsable", "unparsable", "unparsable", "model"]


def test_a_record_of_another_kind_is_refused_with_what_is_wrong() -> None:
    line = dump(Chain(PROBLEM))
    with pytest.raises(ValueError, match="version"):
        load_chain(line.replace('"version":1', '"version":2'))
    with pytest.raises(ValueError, match="problem"):
        load_chain("{}")


def test_a_problem_is_known_by_its_words_whatever_its_answer() -> None:
    key = Problem("How  many\neggs?", 3).key
    assert key == Problem("how many EGGS? ", 4, id="x", meta={"a": 1}).key
    assert key != Problem("How many eggs?", context="A box.").key
    assert Problem("ab", context="c").key != Problem("a", context="bc").key
    assert Problem("q", 3).gold_hash != Problem("q", 4).gold_hash
    assert len(key) == 16


@given(st.one_of(st.text(), st.text("aB \t\n\x1f\x7f.")))
def test_the_words_of_a_problem_are_normalised_the_same_way_however_fast(text: str) -> None:
    words = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    assert Problem(text).key == Problem(words).key == digest([words, ""])


def test_an_answer_that_was_refused_does_not_answer() -> None:
    refused = Step(calls=(Call("answer"),), results=(Result(fault=Fault("bad_arguments", "no")),))
    assert not refused.answers
    assert replace(refused, results=(Result(3),)).answers
    assert not Step().answers


def test_verdicts_go_to_json() -> None:
    assert json.loads(dump(Verdict(True, 1.0, "same", grounded=True))) == {
        "correct": True,
        "score": 1.0,
        "reason": "same",
        "grounded": True,
    }
