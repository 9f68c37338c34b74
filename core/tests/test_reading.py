from __future__ import annotations

import json
import re
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith.chain import JSON, Call
from callsmith.control import answer_function, reasoning
from callsmith.functions import Function, format_call, function
from callsmith.jsoncalls import read_json_calls
from callsmith.reading import before_calls, read_calls
from callsmith.values import MAX_DEPTH


@function
def add(a: float, b: float = 0) -> float:
    """Add b to a."""
    return a + b


@function
def mean(values: list[float], weights: list[float] | None = None) -> float:
    """The mean of the values."""
    return sum(values) / len(values)


FUNCTIONS: dict[str, Function] = {
    "add": add,
    "mean": mean,
    "reasoning": reasoning,
    "answer": answer_function({}),
}


def read(text: str) -> list[tuple[str, dict[str, JSON]]]:
    """The calls of a turn that has no fault."""
    calls, fault = read_calls(text, FUNCTIONS)
    assert fault is None, fault
    return [(call.name, dict(call.arguments)) for call in calls]


def refused(text: str) -> str:
    """The reason why nothing in a turn is read."""
    calls, fault = read_calls(text, FUNCTIONS)
    assert not calls
    assert fault is not None
    assert fault.kind == "unparsable"
    return fault.message


ONE_TWO = ("add", {"a": 1, "b": 2})


@pytest.mark.parametrize(
    "text",
    [
        "add(a=1, b=2)",
        "add(1, 2)",
        "add(1, b=2)",
        "add(b=2, a=1)",
        "add( a = 1 , b = 2 )",
        "add(\n  a=1,\n  b=2,\n)",
        "add(a: 1, b: 2)",
        'add("a": 1, "b": 2)',
        'add({"a": 1, "b": 2})',
        "add (1, 2)",
        "math.add(1, 2)",
        "functions.math.add(a=1, b=2)",
        "```\nadd(a=1, b=2)\n```",
        "```python\nadd(a=1, b=2)\n```",
        "`add(a=1, b=2)`",
        "**add(a=1, b=2)**",
        "[add(a=1, b=2)]",
        "- add(a=1, b=2)",
        "* add(a=1, b=2)",
        "> add(a=1, b=2)",
        "1. add(a=1, b=2)",
        "total = add(a=1, b=2)",
        "Call: add(a=1, b=2)",
        "I add them: add(a=1, b=2) (that gives 3).",
        "add(a=1, b=2) = 3",
        "add(a=1, b=2) # the total :)",
        "The function f(x) helps. add(a=1, b=2)",
        "We could use subtract(1, 2), but add(a=1, b=2)",
        "# add(a=5, b=5) is what I tried\nadd(a=1, b=2)",
    ],
)
def test_a_call_is_found_however_it_is_dressed(text: str) -> None:
    assert read(text) == [ONE_TWO]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-5", -5),
        ("+5", 5),
        ("- 5", -5),
        ("−5", -5),
        ("-.5", -0.5),
        ("72.", 72.0),
        ("1_000", 1000),
        ("007", 7),
        ("2.5e-3", 0.0025),
        ("-1E+2", -100.0),
        ("1234567890123456789012345", 1234567890123456789012345),
        ("True", True),
        ("false", False),
        ("none", None),
        ("null", None),
        ('"a"', "a"),
        ("'a'", "a"),
        ("“a”", "a"),
        ("‘a’", "a"),
        ("`a`", "a"),
        ('"""a"b"""', 'a"b'),
        ("'it's 5'", "it's 5"),
        ("'it’s 5'", "it’s 5"),
        (r"'it\'s'", "it's"),
        ('"First: add, then (b=2)"', "First: add, then (b=2)"),
        ('"a = 5"', "a = 5"),
        (r'"line\nnext\ttab\\"', "line\nnext\ttab\\"),
        (r'"\u00e9\x41\U0001F600"', "éA😀"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud83d"', "\ufffd"),
        (r'"\U99999999"', "\ufffd"),
        (r'"\frac{1}{2}"', r"\frac{1}{2}"),
        (r'"\$5 \/ 2"', "$5 / 2"),
        ('""', ""),
        ("[]", []),
        ("[1, -2, 'x',]", [1, -2, "x"]),
        ("(1, 2)", [1, 2]),
        ("{}", {}),
        ('{"a": {"b": [null, true]}, 3: 4}', {"a": {"b": [None, True]}, "3": 4}),
    ],
)
def test_values_are_literals(written: str, value: JSON) -> None:
    expected = [("answer", {"value": value})]
    assert read(f"answer(value={written})") == expected
    assert read(f"answer({written})") == expected
    assert type(read(f"answer({written})")[0][1]["value"]) is type(value)


def test_several_calls_are_read_in_order() -> None:
    turn = "First add(1, 2), then\nmean([3, 4])\nadd(a=5)add(a=6)"
    assert read(turn) == [
        ONE_TWO,
        ("mean", {"values": [3, 4]}),
        ("add", {"a": 5}),
        ("add", {"a": 6}),
    ]


def test_an_unknown_function_is_a_call_only_where_it_begins_a_line() -> None:
    assert read("subtract(1, b=2)") == [("subtract", {"0": 1, "b": 2})]
    assert read("- subtract(a=1)\nx = Add(a=1)") == [
        ("subtract", {"a": 1}),
        ("Add", {"a": 1}),
    ]
    assert read("We use subtract(1, 2) here, or the function f(x).") == []
    assert read("Some numbers (1, 2) and more (3)") == []


def test_reading_ends_at_the_first_call_that_cannot_be_read_and_keeps_those_before() -> None:
    calls, fault = read_calls("add(1, 2)\nadd(3, \nadd(5, 6)", FUNCTIONS)
    assert [dict(call.arguments) for call in calls] == [{"a": 1, "b": 2}]
    assert fault is not None
    assert "add(…) stands inside another call" in fault.message


def test_a_name_with_brackets_in_prose_spoils_no_readable_call() -> None:
    assert read("I will use add(x, y) now:\nadd(a=1, b=2)") == [ONE_TWO]
    assert "'x' is no value" in refused("I will use add(x, y) now")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("add(a=1, b=2", "')' is missing"),
        ("mean([1, 2", "']' is missing"),
        ("mean([1, 2)", "')' closes nothing"),
        ("add(a=1, b=)", "the value of 'b' is missing"),
        ("add(1, , 2)", "a value is missing"),
        ("add(a=1, a=2)", "'a' is given twice"),
        ("add(1, a=2)", "'a' is given twice"),
        ("add(1, 2, 3)", "it takes 2 arguments, not 3"),
        ("add(a=1 b=2)", "a comma is missing before b="),
        ("add(1 2)", "a comma is missing before 2"),
        ("add(a=1,000, b=2)", "write numbers without thousands separators"),
        ("add(a=48/2, b=1)", "'/' has no place in a value"),
        ("add(1 + 2, 3)", "'+' has no place in a value"),
        ("add(--1, 2)", "'-' has no place in a value"),
        ("add($5, 2)", "'$' has no place in a value"),
        ("add(50%, 2)", "'%' has no place in a value"),
        ("add(mean([1]), 2)", "mean(…) stands inside another call: make one call at a time"),
        ("print(add(1, 2))", "add(…) stands inside another call"),
        ("add(x, 2)", "'x' is no value"),
        ("add(0x10, 2)", "'0x10' is no value"),
        ("add(1.000.000, 2)", "'1.000.000' is no value"),
        ("add(a=-True, b=2)", "'True' is no value"),
        ("add(a=007.5e999, b=2)", "007.5e999 is no value for 'a'"),
        ("add(1e999, 2)", "1e999 is no value"),
        ("answer({1, 2})", "{1,2} is no value"),
        ("answer(72 clips)", "'clips' is no value"),
        ("answer(yes)", "'yes' is no value"),
        ("reasoning(I think it is 5)", "'I' is no value"),
        ('reasoning("I think', 'the string that begins with " is not closed'),
        ("answer(" + "[" * 30 + "]" * 30 + ")", f"nested more than {MAX_DEPTH} deep"),
        ("def add(a, b):\n    return a + b", "'a' is no value"),
        ("answer(lambda x: 1)", "'lambda' is no value"),
        ("answer(" + "9" * 5000 + ")", "is no value"),
    ],
)
def test_what_is_wrong_is_said_precisely(text: str, reason: str) -> None:
    assert reason in refused(text)


def test_the_refusal_of_a_known_function_ends_with_its_usage() -> None:
    assert refused("add(x)").endswith("Usage: add(a: number, b: number = 0) -> number")


def test_nothing_that_is_written_is_evaluated() -> None:
    for code in ("__import__('os').getcwd()", "open('/etc/passwd').read()", "(1).__class__"):
        refused(f"answer({code})")


# ---- round trips --------------------------------------------------------------------------------

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text(string.ascii_letters + "_", min_size=1, max_size=12)


@given(st.dictionaries(names, values, max_size=4), names)
def test_any_call_that_is_written_is_read_back(arguments: dict[str, Any], name: str) -> None:
    calls, fault = read_calls(format_call(Call(name, arguments)), {})
    assert fault is None
    assert [(call.name, call.arguments) for call in calls] == [(name, arguments)]
    assert json.dumps(calls[0].arguments) == json.dumps(arguments)  # 1 is not 1.0, nor True


@given(st.lists(st.tuples(st.text("xyz ,.;:!?\n'", max_size=20), values), min_size=1, max_size=4))
def test_calls_amid_prose_are_read_back(turn: list[tuple[str, JSON]]) -> None:
    text = "".join(f"{prose} answer(value={value!r})" for prose, value in turn)
    assert read(text) == [("answer", {"value": value}) for _, value in turn]


FRAGMENTS = """\
add( answer ( ) [ ] { } , = : " ' “ ` ``` - − 1 .5 1e9 True null # \\ \\u12 \\ud800 \"\"\" é
<tool_call> </tool_call> [TOOL_CALLS] [ARGS] <|python_tag|> {"name":"add" ,"arguments":{ NaN"""
fragments = st.sampled_from([*re.split(r"\s", FRAGMENTS), "\n", " ", "\x00", "\ud800"])


@given(st.lists(fragments | st.text(max_size=5), max_size=30).map("".join))
def test_garbage_never_raises_and_what_is_read_is_json(text: str) -> None:
    for calls, fault in (read_calls(text, FUNCTIONS), read_json_calls(text)):
        assert fault is None or fault.message
        for call in calls:
            written = json.dumps(call.arguments, allow_nan=False, ensure_ascii=False)
            assert json.loads(written.encode()) == call.arguments
    before_calls(text)


@pytest.mark.parametrize(
    "text",
    [
        "-" * 200_000,
        "add(" + "-" * 200_000 + "1)",
        "add(" + "1+" * 100_000 + "1)",
        "[" * 100_000,
        "add(" + "[" * 100_000,
        "add(" + "(" * 100_000 + ")" * 100_000 + ")",
        "{" * 100_000,
        '{"name": "add", "arguments": ' * 10_000,
        "a" * 10_000_000,
        "add(1, 2) " * 1_000_000,
        'answer("' + "x" * 10_000_000,
        'add("' * 50_000,
        "x add('" * 50_000,
        "say add(“ add(‘ add(` " * 10_000,
        " " * 9_000 + "x " + "zz(1) " * 10_000,
        "- " * 5_000 + "zz(1) " * 10_000,
        "a = " * 50_000 + "zz(1)",
        "a." * 50_000 + "zz(1)",
        "add(" + "9" * 200_000 + ")",
        "add(" + "1, " * 50_000 + "1)",
        "add(" + " " * 200_000 + "1)",
        "answer('" + "\\" * 200_000,
        "<tool_call>" * 20_000,
        "```" * 50_000,
        "```json\n{" * 20_000,
        "[TOOL_CALLS]" * 20_000,
        "[TOOL_CALLS]" + "a" * 200_000,
        "[TOOL_CALLS]" + " " * 200_000,
        "```json" + " " * 200_000,
        " " * 200_000,
    ],
    ids=lambda text: f"{text[:20]!r} × {len(text):,}",
)
def test_hostile_text_is_done_with_at_once(text: str) -> None:
    began = time.process_time()
    read_calls(text, FUNCTIONS)
    read_json_calls(text)
    before_calls(text)
    assert time.process_time() - began < 5


# ---- JSON ---------------------------------------------------------------------------------------

ADD = '{"name": "add", "arguments": {"a": 1, "b": 2}}'


@pytest.mark.parametrize(
    "text",
    [
        ADD,
        f"[{ADD}]",
        f"<tool_call>\n{ADD}\n</tool_call>",
        f"I add them.\n<tool_call>{ADD}",
        f"[TOOL_CALLS] [{ADD}]",
        '[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}',
        '[TOOL_CALLS]add{"a": 1, "b": 2}',
        '<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}',
        f"Let me add.\n```json\n{ADD}\n```\nThat gives 3.",
        f"```\n[{ADD}]\n```",
        '{"type": "function", "function": ' + ADD + "}",
        '{"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}',
        f"{ADD} is what I call",
    ],
)
def test_json_calls_are_read_in_every_shape_that_templates_teach(text: str) -> None:
    calls, fault = read_json_calls(text)
    assert fault is None
    assert [(call.name, call.arguments) for call in calls] == [ONE_TWO]


@pytest.mark.parametrize(
    "text",
    [
        f"[{ADD}, {ADD}]",
        f"<tool_call>{ADD}</tool_call>\n<tool_call>{ADD}</tool_call>",
        f"[TOOL_CALLS] {ADD}[TOOL_CALLS] {ADD}",
        '[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}[TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}',
        f"<|python_tag|>{ADD}; {ADD}",
        f"{ADD}\n{ADD}",
    ],
)
def test_several_json_calls_are_read(text: str) -> None:
    calls, fault = read_json_calls(text)
    assert fault is None
    assert [(call.name, call.arguments) for call in calls] == [ONE_TWO, ONE_TWO]


def test_the_id_that_a_model_gave_its_call_is_kept() -> None:
    calls, _ = read_json_calls('{"id": "x1", "function": {"name": "add", "arguments": {}}}')
    assert calls[0].id == "x1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<tool_call>{"name": "add", </tool_call>', "Expecting property name"),
        ('{"name": "add", "arguments": [1, 2]}', "its arguments are no object"),
        ('{"name": "add", "arguments": "a=1"}', "Expecting value"),
        ('{"function": "add", "arguments": {}}', 'write it as {"name": …'),
        ('{"answer": 72}', 'write it as {"name": …'),
        ('{"name": "add", "arguments": {"a": NaN}}', "infinite, or none at all"),
        ('{"name": "add", "arguments": {"a": 1e999}}', "infinite, or none at all"),
        ('{"name": "add", "arguments": {"a": ' + "[" * 50 + "]" * 50 + "}}", "nested more than"),
        ('{"name": "add", "arguments": {"a": ' + "9" * 5000 + "}}", "4300"),
    ],
)
def test_json_that_is_no_call_is_refused(text: str, reason: str) -> None:
    calls, fault = read_json_calls(text)
    assert not calls
    assert fault is not None
    assert fault.kind == "unparsable"
    assert reason in fault.message


@pytest.mark.parametrize("text", ["", "no call at all", "[add(a=1, b=2)]", "The set {1, 2}."])
def test_text_without_json_calls_has_none_and_no_fault(text: str) -> None:
    assert read_json_calls(text) == ((), None)


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        (f"I add them.\n<tool_call>{ADD}</tool_call>", "I add them."),
        ("I add them: add(a=1, b=2)", "I add them:"),
        (ADD, ""),
        ("nothing but words", ""),
    ],
)
def test_the_prose_before_the_calls(text: str, prose: str) -> None:
    assert before_calls(text) == prose
