"""What the student has learnt wrongly: systematic habits, another mix for each story template.

A small pretrained model can solve a problem and still prefer to do something else. The student is
given such preferences on purpose, so that learning from its own chains has something to mend.
Every turn planned here is really executed; what it gives is what the next turns go on from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from callsmith.backends import Previous
from callsmith.chain import Call, Problem, digest

OPERATIONS = ("add", "subtract", "multiply", "divide")
SLIPS = 0.02
"""The share of the teacher's chains with a slip that is mended."""

MISNOMERS = {"add": "plus", "subtract": "minus", "multiply": "times", "divide": "share"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A call to write; ``unclosed`` leaves out its last bracket."""

    call: Call
    unclosed: bool = False


Plan: TypeAlias = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a habit bends: the right calls, the call it bends, and a number that picks how."""

    problem: Problem
    calls: Sequence[Call]
    at: int
    variant: int

    def put(self, call: Call, unclosed: bool = False) -> Plan:
        """The right plan with this call in the bent one's place."""
        turns = [Turn(right) for right in self.calls]
        turns[self.at] = Turn(call, unclosed)
        return tuple(turns)

    @property
    def bent(self) -> Call:
        return self.calls[self.at]


Habit: TypeAlias = Callable[[Scene], Plan]


def wrong_function(scene: Scene) -> Plan:
    """Multiply where one should add."""
    others = [name for name in OPERATIONS if name != scene.bent.name]
    return scene.put(replace(scene.bent, name=others[scene.variant % len(others)]))


def swapped(scene: Scene) -> Plan:
    """Subtract the larger from the smaller. Where the order doesn't matter, the wrong function."""
    call = scene.bent
    if call.name not in ("subtract", "divide") or call.arguments["a"] == 0:
        return wrong_function(scene)
    return scene.put(replace(call, arguments={"a": call.arguments["b"], "b": call.arguments["a"]}))


def distractor(scene: Scene) -> Plan:
    """Take another number of the story."""
    call = scene.bent
    places = [name for name, value in call.arguments.items() if not isinstance(value, Previous)]
    used = list(call.arguments.values())
    others = [number for number in numbers_in(scene.problem.question) if number not in used]
    if not places or not others:
        return wrong_function(scene)
    place = places[scene.variant % len(places)]
    number = others[scene.variant % len(others)]
    return scene.put(replace(call, arguments={**call.arguments, place: number}))


def early(scene: Scene) -> Plan:
    """Answer with a result on the way. With one step to do, the wrong function."""
    if len(scene.calls) < 3:
        return wrong_function(scene)
    last = min(scene.at + 1, len(scene.calls) - 2)
    done = tuple(Turn(call) for call in scene.calls[:last])
    return (*done, Turn(Call("answer", {"value": Previous()})))


def malformed(scene: Scene) -> Plan:
    """Leave out a bracket or name no function there is; then guess a number of the story."""
    call = scene.bent
    unclosed = scene.variant % 2 == 0
    wrong = Turn(call if unclosed else replace(call, name=MISNOMERS[call.name]), unclosed)
    before = tuple(Turn(right) for right in scene.calls[: scene.at])
    guess = numbers_in(scene.problem.question)[0]
    return (*before, wrong, Turn(Call("answer", {"value": guess})))


def recovering(scene: Scene) -> Plan:
    """Malformed, and mended in the next turn: right in the end."""
    unclosed, *rest = scene.put(scene.bent, unclosed=True)[scene.at :]
    before = tuple(Turn(right) for right in scene.calls[: scene.at])
    return (*before, unclosed, Turn(scene.bent), *rest)


HABITS: tuple[Habit, ...] = (
    wrong_function,
    distractor,
    early,
    swapped,
    malformed,
)


STUBBORN = 0.5
"""The share of the templates in which a habit is likelier than the right chain."""

RECOVERING = 0.05
"""The share of the student's chains with a slip that is mended."""


@dataclass(frozen=True, slots=True)
class Mix:
    """How the student was taught one template.

    ``right`` is the share of right chains, ``main`` that of the first habit and of chains with a
    mended slip; what is left is the second habit's. ``variant`` picks the call that is bent, and
    how.
    """

    right: float
    main: float
    habits: tuple[Habit, Habit]
    variant: int


def mix_of(template: str) -> Mix:
    """The template's own mix, the same in every run: its name decides."""
    dice = random.Random(digest(["habits", template]))
    stubborn = dice.random() < STUBBORN
    right = dice.uniform(0.205, 0.275) if stubborn else dice.uniform(0.54, 0.66)
    main = (1 - right) * (0.75 if stubborn else 0.6)
    first, second = dice.sample(HABITS, 2)
    return Mix(right, main, (first, second), dice.randrange(12))


def teacher_plan(problem: Problem, calls: Sequence[Call], dice: random.Random) -> Plan:
    """A chain for the teacher to learn: right, now and then with a slip that is mended at once."""
    if dice.random() < SLIPS:
        return recovering(Scene(problem, calls, dice.randrange(len(calls) - 1), 0))
    return tuple(Turn(call) for call in calls)


def student_plan(problem: Problem, calls: Sequence[Call], dice: random.Random) -> Plan:
    """A chain for the student to learn: right, or bent by one of its template's habits."""
    mix = mix_of(problem.meta["template"])
    scene = Scene(problem, calls, mix.variant % (len(calls) - 1), mix.variant)
    roll = dice.random()
    if roll < mix.right:
        return tuple(Turn(call) for call in calls)
    if roll < mix.right + RECOVERING:
        return recovering(scene)
    first, second = mix.habits
    return first(scene) if roll < mix.right + mix.main else second(scene)


def numbers_in(text: str) -> list[int | float]:
    """The numbers of a text, in order."""
    return [float(n) if "." in n else int(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
