"""Sums to train on: functions, a prompt, and pairs in which adding is preferred to guessing."""

from __future__ import annotations

from callsmith.chain import Call, PreferencePair, Problem, Result, Step
from callsmith.dialects import Prompt
from callsmith.functions import function


@function(inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


@function(inline=True, role="control")
def answer(value: float) -> float:
    """Answer."""
    return value


PROMPT = Prompt("Solve it.", {"add": add, "answer": answer}, dialect="text", tool_role=True)


def step(name: str, value: object = None, **arguments: object) -> Step:
    """A turn as a student of the text dialect writes it."""
    inner = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    results = () if value is None else (Result(value),)
    return Step(f"{name}({inner})", (Call(name, arguments),), results)


def pair(a: int, b: int, **changes: object) -> PreferencePair:
    """Adding is preferred to answering at once."""
    fields: dict[str, object] = {
        "problem": Problem(f"What is {a} and {b}?", gold=a + b),
        "prefix": (),
        "chosen": (step("add", a + b, a=a, b=b), step("answer", value=a + b)),
        "rejected": (step("answer", value=a),),
        "dialects": ("text", "text"),
    }
    return PreferencePair(**{**fields, **changes})  # type: ignore[arg-type]


PAIRS = [pair(a, b) for a in range(1, 6) for b in range(2, 6)]
