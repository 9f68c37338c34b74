"""Problems made from a seed: what follows for a thing, from its kinds and from rules about them.

What a story states decides which split it may belong to, so no split repeats another's story,
whatever its wording or question, and whatever their sizes and seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any
from zlib import crc32

from callsmith.backends import Previous
from callsmith.chain import Call, Problem
from callsmith.errors import DataError
from callsmith_logic.stories import Story, draw, names_in, tell, tell_fact
from callsmith_logic.worlds import Label
from callsmith_logic.worldtasks import WorldTask

QUESTION = "Is the following statement true, false, or unknown?"
OUTCOMES: tuple[Label, ...] = ("True", "False", "Unknown")

MAX_HOPS = 12
MAX_EXTRAS = 40

TRIES = 5_000
"""To draw one story: the worst take some dozens."""


@dataclass(frozen=True, slots=True)
class Split:
    """``share`` is the tenths of all stories that are its own. ``beyond`` says that its stories
    take more hops than those of other splits."""

    size: int
    share: range
    beyond: bool = False


SPLITS: Mapping[str, Split] = {
    "train": Split(5_000, range(0, 6)),
    "validation": Split(1_000, range(6, 7)),
    "test": Split(1_000, range(7, 8)),
    "longer": Split(1_000, range(8, 10), beyond=True),
}


class Deduction(WorldTask):
    """Makes its own problems from ``seed``; ``size`` is the number of problems in each split.

    Stories take 1 to ``hops`` rules, in the split ``longer`` one or two more, and have up to
    ``extras`` facts and rules that lead astray: so ``hops=2, extras=2`` makes short ones. Without
    ``size``, 5,000 to train on and 1,000 in each other split. A smaller split is the beginning
    of a larger one. A problem's ``meta`` has its ``hops`` (for an Unknown one, those of the chain
    that is broken) and its ``extras``.
    """

    name = "deduction"
    description = "what follows from kinds and rules, made from a seed: True, False or Unknown"
    splits = tuple(SPLITS)
    examples = (
        (
            Problem(
                f"{QUESTION} Tom is not heavy.",
                context="Every borpus is a calpus. Tom is a borpus. Calpuses are heavy. "
                "Each calpus is a delpus. Felpuses are heavy.",
            ),
            (
                Call("facts", {"of": "Tom"}),
                Call("rules", {"to": "heavy"}),
                Call("rules", {"to": "calpus"}),
                Call(
                    "modus_ponens",
                    {"rule": "forall x (borpus(x) -> calpus(x))", "fact": "borpus(Tom)"},
                ),
                Call(
                    "modus_ponens",
                    {"rule": "forall x (calpus(x) -> heavy(x))", "fact": Previous()},
                ),
                Call("conclude", {"statement": "not heavy(Tom)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
        (
            Problem(
                f"{QUESTION} Ann is round.",
                context="Each borpus is not round. Calpuses are borpuses. Ann is a delpus. "
                "Every borpus is a delpus. Ann is heavy.",
            ),
            (
                Call("facts", {"of": "Ann"}),
                Call("rules", {"to": "round"}),
                Call("rules", {"to": "borpus"}),
                Call("rules", {"to": "calpus"}),
                Call("conclude", {"statement": "round(Ann)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(
        self, seed: int = 0, size: int | None = None, hops: int = 6, extras: int = 14
    ) -> None:
        _check("seed", seed)
        _check("size", 1 if size is None else size, 1)
        _check("hops", hops, 1, MAX_HOPS)
        _check("extras", extras, 0, MAX_EXTRAS)
        self.seed = seed
        self.size = size
        self.hops = hops
        self.extras = extras

    def problems(self, split: str) -> Iterator[Problem]:
        """The split's problems, made one by one, no key twice. Raises DataError if it is none, or
        if so many different ones can't be made."""
        if split not in SPLITS:
            raise DataError(f"deduction has no split {split!r}: it has {', '.join(SPLITS)}")
        return self._make(split, SPLITS[split])

    def _make(self, name: str, split: Split) -> Iterator[Problem]:
        dice = random.Random(f"{self.seed}/{name}/{self.hops}/{self.extras}")
        size = split.size if self.size is None else self.size
        seen: set[str] = set()
        while len(seen) < size:
            for _ in range(TRIES):
                story = self._draw(dice, split)
                id = f"{name}-{self.seed}-{len(seen)}"
                problem = Problem(
                    f"{QUESTION} {tell_fact(story.goal)}",
                    story.label,
                    tell(story, dice),
                    id,
                    {"hops": story.hops, "extras": story.extras},
                )
                if problem.key not in seen:
                    break
            else:
                raise DataError(
                    f"deduction can make no more than {len(seen):,} different problems of its "
                    f"split {name}: ask for fewer, or allow more hops or extras"
                )
            seen.add(problem.key)
            yield problem

    def _draw(self, dice: random.Random, split: Split) -> Story:
        """A story of the split, its label and hops as likely as any other."""
        label = dice.choice(OUTCOMES)
        hops = self.hops + dice.randint(1, 2) if split.beyond else dice.randint(1, self.hops)
        extras = dice.randint(0, self.extras)
        # Again until it fits, so that each label and length is as frequent, however hard to draw.
        for _ in range(TRIES):
            story = draw(dice, hops, extras, label)
            if share(story) in split.share and story.is_sound:
                return story
        raise DataError(
            f"deduction found no story of {hops} hops with {extras} extras in {TRIES:,} tries: "
            "allow fewer of them"
        )


def share(story: Story) -> int:
    """The tenth of all stories that one belongs to, by what it states in any order."""
    return crc32("\n".join(names_in(story)).encode()) % 10


def _check(name: str, value: Any, low: float = -inf, high: float = inf) -> None:
    """Raises DataError for an option that is no whole number within its limits."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        limits = f" from {low}" if low > -inf else ""
        limits += f" to {high}" if high < inf else ""
        raise DataError(f"{name} must be a whole number{limits}, not {value!r}")
