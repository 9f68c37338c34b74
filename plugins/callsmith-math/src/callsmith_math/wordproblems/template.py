"""Templates: stories to fill with numbers, people and things. They are written as TOML.

    [[template]]
    name = "change"
    plan = "paid - count * price"
    slots = { count = [2, 9], price = [2, 12], back = [1, 40], paid = "count * price + back" }
    wordings = ["{name} buys {count} caps for ${price} each[ on Monday] and pays with ${paid}. ..."]
    reserved = ["A wording never trained on ..."]

A slot is a range ``[low, high]`` or ``[low, high, step]``, in decimals too; a choice, ``"10 | 20"``
or ``"cap | hat"``; the name of a kind of things in `words`; or arithmetic over the slots before it.
In a wording ``[this|that]`` is one or the other, ``[this]`` is there or not: the place for numbers
that the plan doesn't need. People and things fill slots as in `words`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from callsmith_math.wordproblems.plan import (
    Number,
    Operand,
    Plan,
    Step,
    Unfit,
    number,
    parse,
    tidy,
)
from callsmith_math.wordproblems.words import POOLS, Noun, people

Value: TypeAlias = Any
"""What fills a slot: a Number, or a Noun."""

Slot: TypeAlias = Callable[[random.Random, Mapping[str, Value]], Value]

EMPTY: Mapping[str, Value] = {}

CHOICE = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of story with its numbers and what is to be computed from them, if anything."""

    wordings: tuple[str, ...]
    reserved: tuple[str, ...]
    slots: Mapping[str, Slot]
    plan: Plan | None = None

    def run(self, values: Mapping[str, Value], steps: list[Step]) -> Operand:
        """Append the plan's steps for these values, and give the result. Raises Unfit."""
        assert self.plan is not None
        return self.plan.run(values, steps)


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem before it is put into words: its passages, each with its values, and its steps."""

    parts: Sequence[tuple[Passage, Mapping[str, Value]]]
    steps: Sequence[Step]
    result: Number

    def tell(self, rng: random.Random, reserved: bool) -> str:
        """Its text, each passage in one of its wordings: the reserved ones, or the others."""
        told = []
        who = people(rng)
        for passage, values in self.parts:
            wording = rng.choice(passage.reserved if reserved else passage.wordings)
            chosen = CHOICE.sub(lambda match: rng.choice(alternatives(match[1])), wording)
            told.append(chosen.format_map({**who, **values}))
        # What was left out leaves spaces behind.
        return " ".join(" ".join(told).split()).replace(" .", ".").replace(" ,", ",")


@dataclass(frozen=True, slots=True)
class Template:
    """A story with a fixed plan."""

    name: str
    passage: Passage

    def draft(self, rng: random.Random, steps: range) -> Draft:
        """Draw its numbers. Raises Unfit."""
        values = fill(self.passage.slots, rng)
        made: list[Step] = []
        result = self.passage.run(values, made)
        return Draft([(self.passage, values)], made, number(result))


@dataclass(frozen=True, slots=True)
class Story:
    """A story with a running total: as many events, in any order, as there should be steps."""

    name: str
    shared: Mapping[str, Slot]
    opening: Passage
    events: tuple[Passage, ...]
    question: Passage

    def draft(self, rng: random.Random, steps: range) -> Draft:
        """Draw what happens, in one of these numbers of steps. Raises Unfit."""
        wanted = rng.choice(steps)
        shared = fill(self.shared, rng)
        values = fill(self.opening.slots, rng, shared)
        made: list[Step] = []
        total = self.opening.run(values, made)
        parts = [(self.opening, values)]
        for event in rng.sample(self.events, len(self.events)):
            assert event.plan is not None
            if len(made) == wanted:
                break
            if len(made) + len(event.plan.operations) <= wanted:
                values = fill(event.slots, rng, {**shared, "total": total})
                total = event.run(values, made)
                parts.append((event, values))
        if len(made) != wanted or len(parts) == 1:
            raise Unfit
        return Draft([*parts, (self.question, shared)], made, number(total))


def fill(
    slots: Mapping[str, Slot], rng: random.Random, known: Mapping[str, Value] = EMPTY
) -> dict[str, Value]:
    """What is known, and a value for each slot. Raises Unfit."""
    values = dict(known)
    for name, slot in slots.items():
        values[name] = slot(rng, values)
    return values


@cache
def templates() -> tuple[Template, ...]:
    """All templates with a fixed plan."""
    return tuple(Template(table["name"], _passage(table)) for table in _tables("template"))


@cache
def stories() -> tuple[Story, ...]:
    """All stories with a running total."""
    return tuple(
        Story(
            table["name"],
            _slots(table["slots"]),
            _passage(table["opening"]),
            tuple(_passage(event) for event in table["event"]),
            _passage(table["question"]),
        )
        for table in _tables("story")
    )


@cache
def alternatives(choice: str) -> list[str]:
    """What a bracket stands for: one of its parts, or its only part or nothing."""
    return choice.split("|") if "|" in choice else [choice, ""]


def _tables(kind: str) -> Iterator[Mapping[str, Any]]:
    import tomllib

    folder = resources.files("callsmith_math.wordproblems") / "templates"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            yield from tomllib.loads(file.read_text("utf-8"), parse_float=Decimal).get(kind, [])


def _passage(table: Mapping[str, Any]) -> Passage:
    return Passage(
        tuple(table["wordings"]),
        tuple(table["reserved"]),
        _slots(table.get("slots", {})),
        parse(table["plan"]) if "plan" in table else None,
    )


def _slots(written: Mapping[str, Any]) -> dict[str, Slot]:
    return {name: _slot(value) for name, value in written.items()}


def _slot(written: str | list[Number]) -> Slot:
    if isinstance(written, list):
        low, high, step = (*written, 1)[:3]
        numbers = [tidy(low + step * i) for i in range(int((high - low) // step) + 1)]
        return lambda rng, known: rng.choice(numbers)
    text = POOLS.get(written, written)
    if "|" in text:
        options = [part.strip() for part in text.split("|")]
        words = [int(option) if option.isdigit() else Noun(option) for option in options]
        return lambda rng, known: rng.choice(words)
    plan = parse(text)
    return lambda rng, known: number(plan.run(known, []))
