"""Functions in OpenAI's strict mode. Its rules, as its guide to structured outputs states them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired

import pytest
from jsonschema import Draft202012Validator
from openai_stub import ask
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from callsmith import function
from callsmith_openai.bodies import Bodies
from callsmith_openai.strict import strict_tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: float
    y: float = 0.0


class Tree(BaseModel):
    name: str
    parts: list[Tree]


class Row(TypedDict):
    name: str
    age: NotRequired[int]


def tool(annotation: Any, *default: Any) -> dict[str, Any]:
    def take(x):  # type: ignore[no-untyped-def]
        """Take it."""

    take.__annotations__ = {"x": annotation}
    take.__defaults__ = default
    return dict(function(take).schema)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


@pytest.mark.parametrize(
    ("annotation", "default", "value"),
    [
        (int, (), 1),
        (Annotated[str, Field(min_length=1, pattern="^a")], (), "ab"),
        (Literal["a", "b"], (), "a"),
        (int | None, (None,), None),
        (Colour, (Colour.RED,), "blue"),
        (list[Point], (), [{"x": 1, "y": 2}]),
        (Point | None, (None,), {"x": 1, "y": 0}),
        (Tree, (), {"name": "a", "parts": [{"name": "b", "parts": []}]}),
        (tuple[int, int], (), [1, 2]),
        (set[str], (), ["a"]),
        (datetime.date, (), "2024-01-01"),
    ],
)
def test_what_strict_mode_can_say_is_said_in_its_way(
    annotation: Any, default: tuple[Any, ...], value: Any
) -> None:
    plain = tool(annotation, *default)
    strict = strict_tool(plain)["function"]
    assert strict["strict"] is True
    Draft202012Validator.check_schema(strict["parameters"])
    for part in objects(strict["parameters"]):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    text = json.dumps(strict["parameters"])
    for keyword in ("default", "title", "minLength", "uniqueItems", "oneOf", "prefixItems"):
        assert f'"{keyword}":' not in text
    # What it lets a model write is what the function takes.
    for schema in (strict["parameters"], plain["function"]["parameters"]):
        Draft202012Validator(schema).validate({"x": value})


@pytest.mark.parametrize("annotation", [dict[str, float], list, Any, Row, tuple[int, str]])
def test_what_strict_mode_has_no_word_for_is_sent_as_it_is(annotation: Any) -> None:
    plain = tool(annotation)
    assert strict_tool(plain) is plain


def test_a_default_is_told_in_words() -> None:
    strict = strict_tool(tool(Annotated[int, "how many"], 3))["function"]["parameters"]
    assert strict["properties"]["x"] == {
        "type": "integer",
        "description": "how many; default 3",
    }


def test_a_function_without_parameters() -> None:
    def now() -> str:
        """Now."""
        return ""

    made = strict_tool(function(now).schema)["function"]["parameters"]
    assert made == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


@pytest.fixture
def sent() -> Callable[[Bodies], Any]:
    request = ask(tools=(tool(int), tool(dict[str, float])))
    return lambda bodies: json.loads(bodies.write(request))["tools"]


def test_openai_alone_is_sent_strict_functions_until_it_refuses_one(
    sent: Callable[[Bodies], Any],
) -> None:
    assert [part["function"].get("strict") for part in sent(Bodies("m", True, True))] == [
        True,
        None,
    ]
    assert "strict" not in json.dumps(sent(Bodies("m", False, True)))
    bodies = Bodies("m", True, True)
    sent(bodies)
    assert bodies.adapt("Invalid schema for function 'take': 'format' is not permitted.")
    assert "strict" not in json.dumps(sent(bodies))
    assert not bodies.adapt("Invalid schema for function 'take': it is no object.")
