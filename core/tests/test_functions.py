from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Required

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from callsmith.calls import MAX_RESULT, run_call
from callsmith.chain import JSON, Call, Fault, Problem, Result
from callsmith.control import answer_function
from callsmith.errors import PluginError
from callsmith.functions import (
    Context,
    Example,
    Function,
    FunctionPack,
    format_call,
    function,
    functions_hash,
)
from callsmith.isolation import Workers


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


class Row(TypedDict):
    name: str
    age: NotRequired[int]


class Leaf(BaseModel):
    weight: float


class Pair(NamedTuple):
    left: int
    right: int


class Tree(BaseModel):
    leaves: list[Leaf]
    parent: Tree | None = None


class Answered(BaseModel):
    kind: Literal["answered"]
    value: float


class Refused(BaseModel):
    kind: Literal["refused"]


class Trip(typing.TypedDict):  # as most people import it
    when: datetime.date
    places: list[Row]
    fare: NotRequired[Decimal]


class Loose(typing.TypedDict, total=False):
    must: Required[int]
    may: str


@dataclasses.dataclass
class Share:
    part: float

    def __post_init__(self) -> None:
        if not 0 <= self.part <= 1:
            raise ValueError("a part is between 0 and 1")


@function(examples=[{"a": 48, "b": 2}, {"a": 1, "b": 3}], inline=True)
def divide(a: float, b: float) -> float:
    """Divide a by b.

    Works with any numbers.

    Args:
        a: the dividend,
            of any size
        b (float): the divisor

    Returns:
        The quotient.
    """
    return a / b


async def run(chosen: Function, context: Context | None = None, **arguments: JSON) -> Result:
    """One call of an inline or async function: no worker process is needed."""
    call = Call(chosen.name, arguments)
    return await run_call(call, {chosen.name: chosen}, context or Context(), Workers())


async def fault(chosen: Function, **arguments: JSON) -> Fault:
    result = await run(chosen, **arguments)
    assert result.fault is not None, result.value
    return result.fault


# ---- schema and help ----------------------------------------------------------------------------


def test_types_and_docstring_give_the_schema() -> None:
    assert divide.parameters == {
        "type": "object",
        "properties": {
            "a": {"type": "number", "description": "the dividend, of any size"},
            "b": {"type": "number", "description": "the divisor"},
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_the_help_shows_usage_description_parameters_and_executed_examples() -> None:
    assert divide.help == (
        "divide(a: number, b: number) -> number\n"
        "    Divide a by b.\n"
        "    \n"
        "    Works with any numbers.\n"
        "    a: the dividend, of any size\n"
        "    b: the divisor\n"
        "    Example: divide(a=48, b=2) -> 24.0\n"
        "    Example: divide(a=1, b=3) -> 0.3333333333333333"
    )


def test_servers_are_told_the_examples_in_the_description() -> None:
    described = divide.schema["function"]
    assert described["description"].endswith(
        "Example: divide(a=48, b=2) -> 24.0\nExample: divide(a=1, b=3) -> 0.3333333333333333"
    )
    assert described["parameters"] == divide.parameters


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "integer"),
        (str, "string"),
        (bool, "boolean"),
        (list[float], "list of number"),
        (list, "list of any"),
        (dict[str, int], "object"),
        (Any, "any"),
        (Literal["a", "b", 3], "'a' or 'b' or 3"),
        (int | None, "integer or null"),
        (int | str | None, "integer or string or null"),
        (Colour, "'red' or 'blue'"),
        (list[Colour], "list of 'red' or 'blue'"),
        (Annotated[float, Field(ge=0)], "number"),
        (Point, "{x: number, y: number}"),
        (Row, "{name: string, age: integer}"),
        (tuple[int, str], "[integer, string]"),
        (set[int], "list of integer"),
        (datetime.date, "string (date)"),
        (Answered | Refused, "{kind: 'answered', value: number} or {kind: 'refused'}"),
        (
            Annotated[Answered | Refused, Field(discriminator="kind")],
            "{kind: 'answered', value: number} or {kind: 'refused'}",
        ),
        (
            Tree,
            "{leaves: list of {weight: number}, "
            "parent: {leaves: list of object, parent: object or null} or null}",
        ),
    ],
)
def test_every_usual_type_is_described_in_a_few_words(annotation: Any, words: str) -> None:
    def take(x):  # type: ignore[no-untyped-def]
        """Take it."""

    take.__annotations__ = {"x": annotation}
    assert function(take).signature == f"take(x: {words})"


def test_defaults_are_shown_and_what_has_one_may_be_left_out() -> None:
    @function(inline=True)
    def paint(
        colour: Colour = Colour.RED, coats: int = 2, *, note: str | None = None
    ) -> list[JSON]:
        """Paint."""
        return [colour.name, coats, note]

    assert paint.signature == (
        "paint(colour: 'red' or 'blue' = 'red', coats: integer = 2, note: string or null = None)"
        " -> list of any"
    )
    assert paint.invoke({"coats": 3}, Context()) == ["RED", 3, None]


def test_a_parameter_may_be_called_anything_that_python_allows() -> None:
    @function(inline=True)
    def odd(copy: int, json: int, schema: int, model_config: int, _x: int, self: int) -> int:
        """Add all."""
        return copy + json + schema + model_config + _x + self

    names = ["copy", "json", "schema", "model_config", "_x", "self"]
    assert list(odd.properties) == names
    assert odd.invoke(dict.fromkeys(names, 1), Context()) == 6


async def test_arguments_arrive_as_their_types() -> None:
    seen: dict[str, Any] = {}

    @function(inline=True)
    def look(
        colour: Colour,
        point: Point,
        row: Row,
        tree: Tree,
        points: list[Point],
        side: Literal["left", "right"] = "left",
        limit: Annotated[int, Field(ge=0, description="at most")] = 5,
    ) -> str:
        """Look."""
        seen.update(locals())
        return "seen"

    result = await run(
        look,
        colour="blue",
        point={"x": 1},
        row={"name": "Ann"},
        tree={"leaves": [{"weight": 2}], "parent": {"leaves": []}},
        points=[{"x": 1, "y": 2}],
    )
    assert result.fault is None
    assert seen["colour"] is Colour.BLUE
    assert seen["point"] == Point(1)
    assert seen["row"] == {"name": "Ann"}
    assert seen["tree"].parent == Tree(leaves=[])
    assert seen["points"] == [Point(1, 2)]
    assert look.properties["limit"] == {
        "type": "integer",
        "minimum": 0,
        "default": 5,
        "description": "at most",
    }


TYPES: list[tuple[Any, JSON, Any]] = [
    # the type that people write, what a model sends, what the function gets
    (int, 3.0, 3),
    (int | None, None, None),
    (list[int], [1.0, 2], [1, 2]),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (dict[str, Colour], {"a": "red"}, {"a": Colour.RED}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (Pair, [1, 2], Pair(1, 2)),
    (set[str], ["a", "b"], {"a", "b"}),
    (frozenset[int], [1], frozenset({1})),
    (Sequence[int], [1], [1]),
    (Mapping[str, float], {"a": 1.5}, {"a": 1.5}),
    (datetime.date, "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.datetime, "2024-02-29T12:00:00", datetime.datetime(2024, 2, 29, 12)),
    (datetime.timedelta, "PT90S", datetime.timedelta(seconds=90)),
    (Decimal, "0.10", Decimal("0.10")),
    (Fraction, "1/3", Fraction(1, 3)),
    (Loose, {"must": 1}, {"must": 1}),
    (
        Trip,
        {"when": "2024-01-01", "places": [{"name": "Rome"}], "fare": "9.90"},
        {
            "when": datetime.date(2024, 1, 1),
            "places": [{"name": "Rome"}],
            "fare": Decimal("9.90"),
        },
    ),
    (list[Trip] | None, [{"when": "2024-01-01", "places": []}], None),
    (Annotated[Answered | Refused, Field(discriminator="kind")], {"kind": "refused"}, None),
]


@pytest.mark.parametrize(("annotation", "sent", "got"), TYPES, ids=lambda part: str(part)[:40])
async def test_types_that_people_write_have_a_schema_and_arrive(
    annotation: Any, sent: JSON, got: Any
) -> None:
    seen: list[Any] = []

    def take(x, y=1):  # type: ignore[no-untyped-def]
        """Take it."""
        seen.append(x)

    take.__annotations__ = {"x": annotation, "y": int}
    made = function(inline=True)(take)
    Draft202012Validator.check_schema(made.parameters)
    assert (await run(made, x=sent)).fault is None
    if got is not None:
        assert (seen, type(seen[0])) == ([got], type(got))


@pytest.mark.parametrize(
    ("annotation", "sent", "sentence"),
    [
        (datetime.date, "tomorrow", "take's 'x' is wrong: input should be a valid date"),
        (list[datetime.date], ["2024-01-01", "x"], "take's 'x.1' is wrong: input should be a"),
        (datetime.date, "86400", "take's 'x' is wrong: a number can't be read; write it as YYYY-"),
        (
            dict[str, datetime.datetime],
            {"a": "-1.5"},
            "take's 'x.a' is wrong: a number can't be read; write it as YYYY-MM-DDTHH:MM:SS",
        ),
        (
            datetime.time,
            "noon",
            "take's 'x' is wrong: input should be in a valid time format, input is too short; "
            "write it as HH:MM:SS. Usage: take(x: string (time))",
        ),
        (Share, {"part": 2}, "take's 'x' is wrong: a part is between 0 and 1. Usage: take(x:"),
        (Loose, {"may": "a"}, "take's 'x' is wrong: 'must' is a required property"),
    ],
)
async def test_an_argument_that_is_none_of_its_type_is_answered_with_what_is_wrong(
    annotation: Any, sent: JSON, sentence: str
) -> None:
    def take(x):  # type: ignore[no-untyped-def]
        """Take it."""

    take.__annotations__ = {"x": annotation}
    found = await fault(function(inline=True)(take), x=sent)
    assert found.kind == "bad_arguments"
    assert found.message.startswith(sentence)
    assert "\n" not in found.message
    assert "pydantic" not in found.message


def test_an_annotation_may_say_what_a_parameter_is() -> None:
    @function(inline=True)
    def cut(n: Annotated[int, "how many pieces", Field(ge=1)]) -> int:
        """Cut."""
        return n

    assert cut.properties["n"] == {
        "type": "integer",
        "minimum": 1,
        "description": "how many pieces",
    }


@pytest.mark.parametrize(
    ("annotation", "given", "value"),
    [
        (Colour, Colour.RED, "red"),
        (Point, Point(1, 2), {"x": 1, "y": 2}),
        (list[Leaf], [Leaf(weight=1)], [{"weight": 1.0}]),
        (datetime.date, datetime.date(2024, 1, 2), "2024-01-02"),
        (Decimal | None, Decimal("0.10"), "0.10"),
        (set[str], {"b", "a", "c"}, ["a", "b", "c"]),
        (dict[str, Pair], {"a": Pair(1, 2)}, {"a": [1, 2]}),
        (datetime.date, "not what it promises", "not what it promises"),
    ],
    ids=lambda part: str(part)[:30],
)
async def test_what_is_given_back_in_a_type_of_pythons_is_json_to_the_model(
    annotation: Any, given: Any, value: JSON
) -> None:
    def give():  # type: ignore[no-untyped-def]
        """Give."""
        return given

    async def later():  # type: ignore[no-untyped-def]
        """Give."""
        return given

    for target in (give, later):
        target.__annotations__ = {"return": annotation}
        assert (await run(function(inline=True)(target))).value == value


async def test_ints_stay_exact_where_a_float_is_asked_for() -> None:
    @function(inline=True)
    def same(x: float, xs: list[float] | None = None) -> list[JSON]:
        """Give back."""
        return [x, xs]

    huge = 2**80 + 1
    result = await run(same, x=huge, xs=[huge, 0.5])
    assert result.value == [huge, [huge, 0.5]]


def test_a_context_is_hidden_from_the_model() -> None:
    @function(examples=[Example({"word": "hen"}, Problem("a hen", 5, "in the yard"), state=[1])])
    def look_up(word: str, ctx: Context) -> str:
        """Look a word up."""
        return f"{ctx.problem.text} {ctx.state}"

    assert list(look_up.properties) == ["word"]
    assert look_up.help.endswith("Example: look_up(word='hen') -> in the yard\n\na hen [1]")


def test_examples_of_async_functions_are_executed_even_where_a_loop_runs() -> None:
    @function(examples=[{"a": 2}])
    async def double(a: int) -> int:
        """Double."""
        await asyncio.sleep(0)
        return 2 * a

    async def read() -> str:
        return double.help

    assert asyncio.run(read()).endswith("double(a=2) -> 4")


@pytest.mark.parametrize(
    ("example", "why"),
    [
        ({"a": 1, "b": 0}, "the example divide(a=1, b=0) of math.divide fails: division by zero"),
        ({"a": 1}, "the example divide(a=1) of math.divide fails: divide needs 'b'"),
        ({"a": 1e308, "b": 1e-308}, "Out of range float"),
    ],
)
def test_an_example_that_fails_is_named(example: dict[str, JSON], why: str) -> None:
    broken = FunctionPack("", [function(examples=[example])(divide.target)]).named("math")["divide"]
    for use in (lambda: broken.help, lambda: broken.schema):
        with pytest.raises(PluginError) as raised:
            use()
        assert why in str(raised.value)


# ---- what an author can get wrong ---------------------------------------------------------------


class Thing:
    pass


def no_type(x):  # type: ignore[no-untyped-def]
    """D."""


def no_docstring(x: int) -> None: ...


def a_class(x: Thing) -> None:
    """D."""


def a_callable(x: Callable[[int], int]) -> None:
    """D."""


def gives_a_class() -> Thing:  # type: ignore[empty-body]
    """D."""


def unknown_type(x: Nope) -> None:  # type: ignore[name-defined]  # noqa: F821
    """D."""


def any_number(*numbers: int) -> None:
    """D."""


def positional(x: int, /) -> None:
    """D."""


def maybe_context(ctx: Context | None = None) -> None:
    """D."""


def an_iterator(x: Iterator[int]) -> None:
    """D."""


def odd_default(x: int = Thing()) -> None:  # type: ignore[assignment]
    """D."""


def endless_default(x: float = float("inf")) -> None:
    """D."""


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (no_type, "no_type's parameter 'x' has no type: write x: float, say"),
        (no_docstring, "function no_docstring has no docstring"),
        (a_class, "a_class's parameter 'x' can't be .* make Thing a dataclass or a pydantic model"),
        (a_callable, "a_callable's parameter 'x' can't be .* write Literal.* instead of Callable"),
        (an_iterator, "an_iterator's parameter 'x' can't be .* write list instead of Iterator"),
        (gives_a_class, "what gives_a_class returns can't be .* make Thing a dataclass"),
        (unknown_type, "name 'Nope' is not defined; import it where unknown_type is defined"),
        (any_number, r"parameter \*numbers.*name each one, or take a list"),
        (positional, "parameter 'x' can't be given by its name: take the / out"),
        (maybe_context, "parameter 'ctx' is a Context: write ctx: Context"),
        (odd_default, "Default value .*Thing.* is not JSON serializable"),
        (endless_default, "a number is infinite"),
        (lambda x: x, "'<lambda>' is no name for a function"),
    ],
)
def test_a_function_that_cannot_be_is_refused_in_one_sentence(
    target: Callable[..., Any], sentence: str
) -> None:
    with pytest.raises(PluginError, match=sentence) as raised:
        function(target)
    assert "\n" not in str(raised.value)


# ---- bad arguments ------------------------------------------------------------------------------


@function(inline=True)
def order(
    items: list[int], size: Literal["S", "L"] = "S", at: Point | None = None, n: int = 1
) -> str:
    """Order."""
    return "ordered"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "order needs 'items'."),
        ({"items": [1], "colour": 2}, "order has no argument 'colour'."),
        ({"items": "1"}, "order's 'items' is wrong: '1' is not of type 'array'."),
        ({"items": [1, "2"]}, "order's 'items.1' is wrong: '2' is not of type 'integer'."),
        ({"items": [], "size": "XL"}, "order's 'size' is wrong: 'XL' is not one of ['S', 'L']."),
        ({"items": [], "n": 1.5}, "order's 'n' is wrong: 1.5 is not of type 'integer'."),
        ({"items": [], "n": True}, "order's 'n' is wrong: True is not of type 'integer'."),
        ({"items": [], "at": {"y": 1}}, "order's 'at' is wrong"),
    ],
)
async def test_bad_arguments_are_answered_with_what_is_wrong_and_the_usage(
    arguments: dict[str, JSON], sentence: str
) -> None:
    found = await fault(order, **arguments)
    assert found.kind == "bad_arguments"
    assert found.message.startswith(sentence)
    assert found.message.endswith(f"Usage: {order.signature}")


async def test_two_missing_arguments_are_both_named() -> None:
    assert (await fault(divide)).message.startswith("divide needs 'a' and 'b'. Usage: divide(")


async def test_a_long_wrong_value_does_not_flood_the_model() -> None:
    assert len((await fault(order, items="x" * 100_000)).message) < 500


async def test_an_unknown_function_is_answered_with_the_nearest_and_all_names() -> None:
    functions = {"divide": divide, "order": order}
    for name, meant in [
        ("divid", "did you mean divide? the functions are divide, order"),
        ("sine", "there is no function 'sine', the functions are divide, order"),
        ("x" * 100_000, "the functions are divide, order"),
    ]:
        result = await run_call(Call(name), functions, Context(), Workers())
        assert result.fault is not None
        assert result.fault.kind == "unknown_function"
        assert meant in result.fault.message
        assert len(result.fault.message) < 300


async def test_a_step_that_no_float_can_be_held_against_is_a_fault() -> None:
    @function(inline=True)
    def halves(x: Annotated[float, Field(multiple_of=0.5)]) -> float:
        """Halves."""
        return x

    assert (await run(halves, x=1.5)).value == 1.5
    assert (await fault(halves, x=10**400)).kind == "bad_arguments"


async def test_answers_are_typed_by_the_task() -> None:
    answer = answer_function({"enum": ["True", "False"]})
    assert (await run(answer, value="True")).value == "True"
    assert (await fault(answer, value="Maybe")).message == (
        "answer's 'value' is wrong: 'Maybe' is not one of ['True', 'False']. "
        "Usage: answer(value: 'True' or 'False')"
    )


# ---- results ------------------------------------------------------------------------------------


def giving(value: Any) -> Function:
    @function(inline=True)
    def give() -> Any:
        """Give."""
        return value

    return give


class Size(enum.IntEnum):
    LARGE = 3


class Name(str):
    pass


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (None, None),
        (False, False),
        (0, 0),
        ((1, (2,)), [1, [2]]),
        ({1: "a"}, {"1": "a"}),
        (Size.LARGE, 3),
        (Name("x"), "x"),
        ("half \ud83d of it", "half \ufffd of it"),
        (10**3999, 10**3999),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_results_are_plain_json_values(given: Any, value: JSON) -> None:
    result = await run(giving(given))
    assert result.fault is None
    assert (result.value, type(result.value)) == (value, type(value))


def nested(depth: int) -> JSON:
    value: JSON = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (float("nan"), "infinite, or none at all"),
        ([1, float("inf")], "infinite, or none at all"),
        ({1, 2}, "JSON has no set"),
        (Fraction(1, 2), "JSON has no Fraction"),
        ({(1, 2): 3}, "a key is no text"),
        (nested(500), "nested more than 20 deep"),
        (10**4300, "more than 4,300 digits"),
        ([10**5000], "more than 4,300 digits"),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_what_is_no_json_value_is_a_fault(given: Any, why: str) -> None:
    found = await fault(giving(given))
    assert found.kind == "bad_result"
    assert found.message.startswith("give gave something that is no JSON value: ")
    assert why in found.message


async def test_a_result_that_is_too_large_is_cut_and_the_model_is_told() -> None:
    whole = await run(giving("x" * MAX_RESULT))
    assert (whole.value, whole.note) == ("x" * MAX_RESULT, "")
    for large in ("é" * 5_000, list(range(5_000))):
        cut = await run(giving(large))
        assert len(cut.value) < MAX_RESULT + 60
        assert cut.value.endswith("characters in all)")
        assert cut.note == "result cut"


async def test_what_a_function_raises_is_one_line_for_the_model() -> None:
    @function(inline=True)
    def fail(how: str) -> None:
        """Fail."""
        raise ValueError(how)

    assert await fault(fail, how="bad\n  news " + "x" * 1000) == Fault(
        "function_error", "fail: bad news " + "x" * 291
    )
    assert (await fault(fail, how="")).message == "fail: ValueError"


async def test_an_expected_result_that_differs_is_noted() -> None:
    async def note(value: JSON, expected: JSON) -> str:
        call = Call("give", expected=expected)
        return (await run_call(call, {"give": giving(value)}, Context(), Workers())).note

    assert await note(24.0, 24) == ""
    assert await note(24.015, 24) == ""  # data sets round to two places
    assert await note(24.03, 24) == "recorded as 24"
    assert await note("a", "b") == "recorded as 'b'"
    assert await note(10**400, 1.5) == "recorded as 1.5"
    assert await note(7, None) == ""


# ---- time and state -----------------------------------------------------------------------------


async def test_an_async_function_is_stopped_at_its_time_limit() -> None:
    @function(timeout=0.05)
    async def wait(seconds: float) -> str:
        """Wait."""
        await asyncio.sleep(seconds)
        return "waited"

    began = time.perf_counter()
    assert await fault(wait, seconds=30) == Fault(
        "timeout", "wait took longer than 0.05 s and was stopped"
    )
    assert time.perf_counter() - began < 5
    assert (await run(wait, seconds=0)).value == "waited"


async def test_a_time_out_of_the_functions_own_is_its_error() -> None:
    @function(inline=True)
    def fetch() -> None:
        """Fetch."""
        raise TimeoutError("the server is silent")

    assert await fault(fetch) == Fault("function_error", "fetch: the server is silent")


@function(inline=True)
def move(how: str, ctx: Context) -> JSON:
    """Move on a board that the chain keeps."""
    ctx.state = ctx.state or []
    ctx.state.append(how)
    if how == "fail":
        raise ValueError("no such move")
    if how == "nonsense":
        ctx.state = {1, 2}
    return float("nan") if how == "nan" else len(ctx.state)


async def test_state_is_kept_from_call_to_call_but_not_of_one_that_fails() -> None:
    context = Context()
    assert (await run(move, context, how="up")).value == 1
    before = context.state
    for how, kind in [
        ("fail", "function_error"),
        ("nan", "bad_result"),
        ("nonsense", "bad_result"),
    ]:
        result = await run(move, context, how=how)
        assert result.fault is not None
        assert result.fault.kind == kind
        assert context.state == ["up"]
    assert (await run(move, context, how="down")).value == 2
    assert context.state == ["up", "down"]
    assert before == ["up"], "an earlier step's state must not change under it"


# ---- names, hashes, calls -----------------------------------------------------------------------


def test_functions_know_their_pack_and_are_called_from_python_as_before() -> None:
    pack = FunctionPack("Numbers.", [divide]).named("math")
    assert pack["divide"].qualified_name == "math.divide"
    assert pack["divide"](6, b=3) == 2


def test_the_hash_is_of_what_a_model_sees_in_any_order() -> None:
    assert functions_hash([divide, order]) == functions_hash([order, divide])
    changed = dataclasses.replace(divide, description="Divide.")
    assert functions_hash([changed]) != functions_hash([divide])
    faster = dataclasses.replace(divide, timeout=1)
    assert functions_hash([faster]) == functions_hash([divide])


def test_calls_are_written_in_the_functions_order() -> None:
    call = Call("divide", {"note": "x", "b": 2, "a": "it's"})
    assert format_call(call, divide) == """divide(a="it's", b=2, note='x')"""
    assert format_call(call) == """divide(note='x', b=2, a="it's")"""


def test_making_and_reading_functions_imports_nothing_heavy() -> None:
    code = (
        "import sys, callsmith.functions, callsmith.calls, callsmith.reading, callsmith.agent;"
        "print({'pydantic', 'jsonschema', 'torch', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
