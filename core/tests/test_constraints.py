"""What is admitted under --constrain: all that a function takes, and nothing that can't be read."""

from __future__ import annotations

import ast
import json
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

import pytest
from gbnf_reader import Grammar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from callsmith.chain import JSON, Call, Dialect, Fault
from callsmith.constraints import constraint
from callsmith.control import answer_function, reasoning
from callsmith.errors import PluginError, Rejected
from callsmith.functions import Function, format_call, function
from callsmith.jsoncalls import read_json_calls
from callsmith.plugins import load_registry
from callsmith.reading import read_calls
from callsmith.values import MAX_DEPTH


@function
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


@function
def say(text: str) -> None:
    """Say it."""


@function
def scalars(whole: int, number: float, text: str, yes: bool, nothing: None) -> None:
    """Takes one of each."""


@function
def optional(
    a: float | str | None = None, b: int = 2, c: float = 0, d: Literal["x", 2, None] = "x"
) -> None:
    """Takes nothing, or this and that."""


@function
def lists(rows: list[list[int]], pair: tuple[int, int], odd: tuple[int, str], by: str = "") -> None:
    """Takes lists in lists."""


@function
def maps(values: dict[str, float | str], counts: dict[str, list[int]]) -> None:
    """Takes objects with any keys."""


class Colour(Enum):
    RED = "red"
    BLUE = 'it\'s "blue"'


@dataclass
class Tree:
    label: str
    colour: Colour = Colour.RED
    children: list[Tree] = field(default_factory=list)
    parent: Tree | None = None


Tree.__module__ = __name__  # pydantic looks there for what "Tree" means


@function
def plant(tree: Tree, again: Tree | None = None) -> None:
    """Takes what holds itself."""


numbers = st.integers(-(10**39), 10**39) | st.floats(-1e299, 1e299)
scalar = st.none() | st.booleans() | numbers | st.text()
anything = st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
trees: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.tuples(
        st.text(),
        st.sampled_from([colour.value for colour in Colour]),
        st.lists(trees, max_size=2),
        st.none() | trees,
        st.integers(0, 3),
    ).map(lambda parts: dict(zip(TREE[: 1 + parts[-1]], parts, strict=False)))
)
TREE = ("label", "colour", "children", "parent")
TAKES: dict[str, tuple[Function, st.SearchStrategy[dict[str, Any]]]] = {
    "scalars": (
        scalars,
        st.fixed_dictionaries(
            {
                "whole": st.integers(-(10**39), 10**39),
                "number": numbers,
                "text": st.text(),
                "yes": st.booleans(),
                "nothing": st.none(),
            }
        ),
    ),
    "optional": (
        optional,
        st.fixed_dictionaries(
            {},
            optional={
                "a": numbers | st.text() | st.none(),
                "b": st.integers(-9, 9),
                "c": numbers,
                "d": st.sampled_from(["x", 2, None]),
            },
        ),
    ),
    "lists": (
        lists,
        st.fixed_dictionaries(
            {
                "rows": st.lists(st.lists(st.integers(-9, 9), max_size=3), max_size=3),
                "pair": st.lists(st.integers(0, 9), min_size=2, max_size=2),
                "odd": st.tuples(st.integers(0, 9), st.text()).map(list),
            },
            optional={"by": st.text()},
        ),
    ),
    "maps": (
        maps,
        st.fixed_dictionaries(
            {
                "values": st.dictionaries(st.text(), numbers | st.text(), max_size=3),
                "counts": st.dictionaries(st.text(), st.lists(st.integers(0, 9)), max_size=3),
            }
        ),
    ),
    "plant": (plant, st.fixed_dictionaries({"tree": trees}, optional={"again": trees})),
    "answer": (answer_function({}), st.fixed_dictionaries({"value": anything})),
}
FUNCTIONS = {name: function for name, (function, _) in TAKES.items()}
GRAMMAR = Grammar(constraint(FUNCTIONS, "text").grammar)
SCHEMA = constraint(FUNCTIONS, "json").schema or {}
VALIDATOR = Draft202012Validator(SCHEMA)
SCALARS = {
    "string": st.text(),
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "boolean": st.booleans(),
    "null": st.none(),
}
calls = st.sampled_from(list(TAKES)).flatmap(
    lambda name: TAKES[name][1].map(lambda arguments: Call(name, arguments))
)


# ---- all that a function takes ------------------------------------------------------------------


@given(calls)
def test_a_call_as_callsmith_writes_it_is_admitted(call: Call) -> None:
    chosen = FUNCTIONS[call.name]
    assert not chosen.check(call.arguments)
    assert GRAMMAR.admits(format_call(call, chosen))


@given(calls)
def test_a_call_as_json_is_admitted_when_its_defaults_are_written(call: Call) -> None:
    def complete(arguments: JSON, properties: Mapping[str, Any]) -> dict[str, JSON]:
        defaults = {n: part["default"] for n, part in properties.items() if "default" in part}
        return {**defaults, **arguments}

    def grow(tree: JSON) -> JSON:
        if tree is None:
            return None
        tree = complete(tree, plant.parameters["$defs"]["Tree"]["properties"])
        children = [grow(child) for child in tree.get("children", [])]
        return tree | {"children": children, "parent": grow(tree["parent"])}

    arguments = complete(call.arguments, FUNCTIONS[call.name].properties)
    if call.name == "plant":
        arguments = {name: grow(tree) for name, tree in arguments.items()}
    VALIDATOR.validate({"call": {"name": call.name, "arguments": arguments}})


# ---- nothing that can't be read -----------------------------------------------------------------


def fits(made: tuple[Call, ...], fault: Fault | None, functions: Mapping[str, Function]) -> bool:
    return not fault and len(made) == 1 and not functions[made[0].name].check(made[0].arguments)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(GRAMMAR.sentences())
def test_what_the_grammar_admits_is_read_as_one_call_that_fits(text: str) -> None:
    assert fits(*read_calls(text, FUNCTIONS), FUNCTIONS)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_what_the_schema_admits_is_read_as_one_call_that_fits(data: st.DataObject) -> None:
    def write(schema: Mapping[str, Any], depth: int = 0) -> JSON:
        if "$ref" in schema:
            return write(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], depth + 1)
        if "enum" in schema:
            return data.draw(st.sampled_from(schema["enum"]))
        if "anyOf" in schema:
            simple = [one for one in schema["anyOf"] if one.get("type") in SCALARS]
            options = simple if depth > 6 and simple else schema["anyOf"]
            return write(data.draw(st.sampled_from(options)), depth)
        if schema["type"] == "array":
            parts = schema.get("prefixItems")
            least = 0 if depth > 6 else schema.get("minItems", 0)
            times = data.draw(st.integers(least, least if depth > 6 else schema.get("maxItems", 2)))
            return [write(part, depth) for part in parts or [schema["items"]] * times]
        if "properties" in schema:
            return {
                name: write(part, depth)
                for name, part in schema["properties"].items()
                if name in schema["required"] or (depth < 6 and data.draw(st.booleans()))
            }
        if schema["type"] == "object":
            keys = data.draw(st.lists(st.text(max_size=3), max_size=2))
            return {key: write(schema["additionalProperties"], depth) for key in keys}
        return data.draw(SCALARS[schema["type"]])

    text = json.dumps(write(SCHEMA), ensure_ascii=data.draw(st.booleans()))
    assert fits(*read_json_calls(text), FUNCTIONS)


@pytest.mark.parametrize(
    "text",
    [
        "add(1, 2)",
        "add(a=1)",
        "add(a=1, b='2')",
        "add(a=1, b=2, c=3)",
        "add(b=2, a=1)",
        "add(a=1, b=2) and on",
        "add(a=1, b=2)\nadd(a=1, b=2)",
        "I add: add(a=1, b=2)",
        "add(a=1, b=01)",
        "add(a=1, b=1e400)",
        "add(a=1, b=" + "1" * 41 + ")",
        "subtract(a=1, b=2)",
        "say(text='it's')",
        "say(text='two\nlines')",
        "say(text='\\d')",
        "",
    ],
)
def test_what_is_no_call_of_these_functions_is_not_admitted(text: str) -> None:
    grammar = Grammar(constraint({"add": add, "say": say}, "text").grammar)
    assert grammar.admits("add(a=1, b=2)")
    assert grammar.admits("say(text='it\\'s')")
    assert not grammar.admits(text)


def test_brackets_end_where_no_more_are_read() -> None:
    for depth, admitted in [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)]:
        text = f"answer(value={'[' * depth}{']' * depth})"
        assert GRAMMAR.admits(text) is admitted
        assert (read_calls(text, FUNCTIONS)[1] is None) is admitted


# ---- schemas of other people's tools ------------------------------------------------------------


def tool(parameters: dict[str, Any], name: str = "f") -> Function:
    return Function(name, "A tool.", {"type": "object", **parameters}, target=print)


POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
NEXT = {"type": "object", "oneOf": [{"$ref": "#/$defs/Point"}, {"$ref": "#/$defs/List"}]}
LIST = {"type": "object", "properties": {"next": NEXT}, "required": ["next"]}


@pytest.mark.parametrize(
    ("schema", "admitted", "refused"),
    [
        (True, "[{'a': 1}]", "a"),
        ({"description": "whatever"}, "None", "none"),
        ({"type": ["integer", "null"]}, "None", "'1'"),
        ({"const": "a"}, "'a'", "'b'"),
        ({"enum": ["it's", 1, True, None]}, '"it\'s"', "False"),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, "True", "1.5"),
        ({"properties": {"x": {}}, "required": ["x", "y"]}, "{'x': 1, 'y': 2}", "{'x': 1}"),
        ({"type": "object", "additionalProperties": False}, "{}", "{'a': 1}"),
        ({"$ref": "#/$defs/Point"}, "{'x': 1}", "{}"),
        ({"$ref": "#/properties/other"}, "'text'", "1"),
        ({"allOf": [{"$ref": "#/$defs/Point"}]}, "{'x': 1}", "{}"),
        (
            {
                "allOf": [
                    {"$ref": "#/$defs/Point"},
                    {"properties": {"y": {"type": "integer"}}, "required": ["y"]},
                ]
            },
            "{'x': 1, 'y': 2}",
            "{'x': 1}",
        ),
        (
            {
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
                "anyOf": [{"required": ["x"]}, {"required": ["y"]}],
            },
            "{'y': 1}",
            "{}",
        ),
        (
            {"type": "object", "oneOf": [{"$ref": "#/$defs/Point"}, {"$ref": "#/$defs/List"}]},
            "{'next': {'next': {'x': 1}}}",
            "{'next': 1}",
        ),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, "[1, 2]", "[1, 2, 3]"),
        ({"type": "array", "maxItems": 0}, "[]", "[1]"),
        ({"type": "array", "minItems": 1}, "[1]", "[]"),
        ({"type": "array", "maxItems": 100_000}, "[1, 2]", "1"),
    ],
    ids=str,
)
def test_schemas_are_read_however_they_are_written(
    schema: JSON, admitted: str, refused: str
) -> None:
    parameters = {
        "properties": {"a": schema, "other": {"type": "string"}},
        "required": ["a"],
        "$defs": {"Point": POINT, "List": LIST},
    }
    functions = {"f": tool(parameters)}
    grammar = Grammar(constraint(functions, "text").grammar)
    held = Draft202012Validator(constraint(functions, "json").schema)
    for value, expected in [(admitted, True), (refused, False)]:
        assert grammar.admits(f"f(a={value})") is expected
        with suppress(ValueError, SyntaxError):
            arguments = {"a": ast.literal_eval(value)}
            assert held.is_valid({"call": {"name": "f", "arguments": arguments}}) is expected


def test_two_functions_types_of_one_name_are_kept_apart() -> None:
    other = POINT | {"properties": {"z": {"type": "integer"}}, "required": ["z"]}
    functions = {
        name: tool(
            {"properties": {"p": {"$ref": "#/$defs/Point"}}, "$defs": {"Point": point}}, name
        )
        for name, point in [("f", POINT), ("g", other)]
    }
    held = Draft202012Validator(constraint(functions, "json").schema)
    for name, key, expected in [("f", "x", True), ("g", "z", True), ("g", "x", False)]:
        call = {"name": name, "arguments": {"p": {key: 1}}}
        assert held.is_valid({"call": call}) is expected


def test_a_schema_that_refers_to_nothing_names_its_function() -> None:
    functions = {"f": tool({"properties": {"a": {"$ref": "#/$defs/Nowhere"}}})}
    with pytest.raises(
        PluginError, match="the schema of f refers to #/\\$defs/Nowhere, which is not"
    ):
        constraint(functions, "json")


def test_native_calls_are_no_text_to_hold_to_anything() -> None:
    with pytest.raises(Rejected, match="use --dialect json or --dialect text"):
        constraint(FUNCTIONS, "native")


# ---- what servers take --------------------------------------------------------------------------


def ours() -> dict[str, Function]:
    """Every function there is of ours, and an answer for each of our tasks."""
    registry = load_registry()
    tasks = [registry.task(name) for name in ("gsm8k", "wordproblems")]
    answers = {f"answer to {task.name}": answer_function(task.answer) for task in tasks}
    return {**registry.pack("math"), "reasoning": reasoning, **answers}


OPEN = ("substitute", "check_solution")
"""Of the math pack, those that take objects with any keys, for which strict mode has no word."""


def test_openais_strict_mode_takes_all_but_objects_with_any_keys() -> None:
    # Its rules, as OpenAI documents them under "Structured outputs": an object at the root, every
    # object closed and all of its properties required, and these keywords.
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf"}
    known |= {"$ref", "minItems", "maxItems"}

    def check(schema: Mapping[str, Any]) -> None:
        assert set(schema) <= known
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
        for part in [*parts, *([schema["items"]] if "items" in schema else [])]:
            check(part)

    functions = {name: made for name, made in ours().items() if name not in OPEN}
    schema = constraint({**functions, "optional": optional}, "json").schema or {}
    assert schema["type"] == "object"
    check(schema)


def without_bounds(made: Function) -> Function:
    """The function as far as a model is held to it."""
    bounds = ("minimum", "maximum", "maxItems")
    parameters = json.loads(
        json.dumps(made.parameters),
        object_hook=lambda part: {key: part[key] for key in part if key not in bounds},
    )
    return replace(made, parameters=parameters)


@pytest.mark.parametrize("name", [*ours(), *FUNCTIONS])
@pytest.mark.parametrize("dialect", ["text", "json"])
def test_llama_cpp_writes_valid_calls_of_every_function(
    name: str, dialect: Dialect, llama_server: str
) -> None:
    made = without_bounds({**ours(), **FUNCTIONS}[name])
    functions = {made.name: made}
    asked = constraint(functions, dialect)
    held: dict[str, Any] = {"grammar": asked.grammar}
    if asked.schema:
        wanted = {"name": "call", "schema": asked.schema, "strict": True}
        held = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    body = {
        "messages": [{"role": "user", "content": "Do it."}],
        "max_tokens": 120,
        "temperature": 1.5,
        "seed": 1,
        **held,
    }
    request = urllib.request.Request(
        f"{llama_server}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        choice = json.load(reply)["choices"][0]
    if choice["finish_reason"] == "stop":  # the tiny model seldom comes to the end of a string
        text = choice["message"]["content"]
        read = read_json_calls(text) if dialect == "json" else read_calls(text, functions)
        # In JSON it may come to e9999: no schema can forbid it.
        assert fits(*read, functions) or (dialect == "json" and "infinite" in str(read))
