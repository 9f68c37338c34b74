"""Argument sets are valid or not as they are meant to be, and the same for one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from callsmith.functions import Function, function
from callsmith.testing.samples import Sampler, Unmade


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    x: float
    y: float


class Tree(BaseModel):
    value: int
    left: Tree | None = None
    children: list[Tree] = []


@dataclass
class Span:
    start: date
    days: Annotated[int, Field(gt=0, lt=400)] = 1


@function
def everything(
    whole: int,
    number: Annotated[float, Field(ge=0, lt=1)],
    text: Annotated[str, Field(min_length=2, max_length=5)],
    colour: Colour,
    kind: Literal["a", 1, None],
    either: int | list[str] | None,
    place: Place,
    tree: Tree,
    span: Span,
    pair: tuple[int, str],
    marks: Annotated[set[int], Field(max_length=3)],
    table: dict[str, dict[str, bool]],
    even: Annotated[int, Field(multiple_of=2)],
    code: Annotated[str, Field(pattern=r"^[A-Z]+-\d+$")],
    anything: Any = None,
) -> str:
    """Take one of each."""
    return ""


def sets(seed: int, count: int = 150) -> list[object]:
    sampler = Sampler(everything, [everything], seed)
    return [sampler.valid()[0] for _ in range(count)] + [sampler.invalid() for _ in range(count)]


def test_every_kind_of_argument_is_made_valid_and_invalid() -> None:
    sampler = Sampler(everything, [everything], 0)
    valid = [sampler.valid()[0] for _ in range(200)]
    assert not any(map(everything.check, valid))
    assert len(set(map(repr, valid))) == 200
    # Each branch is taken: types that hold themselves, both sides of a union, what has a default.
    assert any(made["tree"].get("left") for made in valid)
    assert {type(made["either"]) for made in valid} == {int, list, type(None)} | (
        {float} if any(isinstance(made["either"], float) for made in valid) else set()
    )
    assert {"anything" in made for made in valid} == {True, False}
    broken = [sampler.invalid() for _ in range(300)]
    assert all(name in everything.check(made) for made, name in broken)
    assert {name for _, name in broken} > {"whole", "tree", "span", "table", "code"}


def test_the_same_seed_gives_the_same_sets_and_another_gives_others() -> None:
    assert sets(1) == sets(1)
    assert sets(1) != sets(2)


def test_examples_are_the_words_of_the_trade() -> None:
    @function(examples=[{"plan": "knight to f3"}, {"plan": "castle"}])
    def play(plan: str) -> str:
        """Play."""
        return plan

    sampler = Sampler(play, [play], 0)
    plans = [sampler.valid()[0]["plan"] for _ in range(200)]
    assert "knight to f3" in plans
    assert any("knight" in plan and plan != "knight to f3" for plan in plans)


def shaped(schema: dict[str, object]) -> Function:
    return Function("f", "F.", schema, target=lambda: None)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Sampler.valid, "no text was found that matches"),
        (Sampler.invalid, "f allows any arguments"),
    ],
)
def test_what_cannot_be_made_is_said(make: Callable[[Sampler], object], reason: str) -> None:
    pattern = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    impossible = {"type": "object", "properties": {"a": pattern}, "required": ["a"]}
    lax = {"type": "object"}
    f = shaped(impossible if make is Sampler.valid else lax)
    with pytest.raises(Unmade, match=reason):
        make(Sampler(f, [f], 0))
