"""What the logic student has learnt wrongly: to judge before it has looked, another mix for each
word that a question may ask about.

As in `habits`, a student that could solve a problem and often prefers to do something else, so
that learning from its own chains has something to mend.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from callsmith.chain import Call, Problem, digest
from callsmith_tiny.habits import Plan, Turn

STUBBORN = 0.5
"""The share of the words for which a habit is likelier than the right chain."""

RIGHT = (0.55, 0.25)
"""The share of right chains for other words, and for those."""

Habit: TypeAlias = Callable[[Sequence[Call], random.Random], Plan]


def guess(calls: Sequence[Call], dice: random.Random) -> Plan:
    """Look up the statement and no more, then say one of the labels."""
    label = dice.choice(("True", "False", "Unknown"))
    return Turn(calls[0]), Turn(Call("answer", {"value": label}))


def hasty(calls: Sequence[Call], dice: random.Random) -> Plan:
    """Conclude after the first look-up, with nothing derived; told so, give up on it."""
    *_, conclude, _ = calls
    return Turn(calls[0]), Turn(conclude), Turn(Call("answer", {"value": "Unknown"}))


def unsigned(calls: Sequence[Call], dice: random.Random) -> Plan:
    """Derive all that is needed, and conclude the contrary of the statement."""
    *before, conclude, answer = calls
    statement = conclude.arguments["statement"]
    contrary = statement.removeprefix("not ") if "not " in statement else f"not {statement}"
    turned = replace(conclude, arguments={"statement": contrary})
    return tuple(Turn(call) for call in (*before, turned, answer))


HABITS: tuple[Habit, ...] = (guess, hasty, unsigned)


def logic_student_plan(problem: Problem, calls: Sequence[Call], dice: random.Random) -> Plan:
    """A chain for the student to learn: right, or after a habit of the statement's word."""
    word = calls[0].arguments["statement"].removeprefix("not ").split("(")[0]
    own = random.Random(digest(["habits", word]))
    right = RIGHT[own.random() < STUBBORN]
    habit = own.choice(HABITS)
    if dice.random() < right:
        return tuple(Turn(call) for call in calls)
    return habit(calls, dice)


def logic_teacher_plan(problem: Problem, calls: Sequence[Call], dice: random.Random) -> Plan:
    """A chain for the teacher to learn: the right one."""
    return tuple(Turn(call) for call in calls)
