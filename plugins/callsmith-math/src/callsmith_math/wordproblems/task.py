"""The task: splits that share no problem, whatever their sizes and seeds.

The numbers that a problem is solved with decide which split it may belong to, so no split repeats
another's problem, nor even another's set of numbers. ``test`` has known templates with new numbers,
``wording`` wordings that no other split uses, ``longer`` the known stories told in more steps.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from callsmith.backends import Previous
from callsmith.chain import JSON, Call, Problem
from callsmith.errors import DataError
from callsmith.tasks import BaseTask
from callsmith.verifiers import NumberVerifier
from callsmith_math.wordproblems.plan import Made, Step, Unfit, plain, to_calls, to_json
from callsmith_math.wordproblems.template import Draft, Story, Template, stories, templates

ANSWER: JSON = {"type": "number"}

TRIES = 20_000
"""To find numbers for a template: the worst of them needs some hundred."""

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Split:
    """``share`` is the tenths of all sets of numbers that are its own; ``steps`` is a story's."""

    size: int
    share: range
    steps: range = range(1, 5)
    reserved: bool = False
    templates: bool = True


SPLITS: Mapping[str, Split] = {
    "train": Split(5_000, range(0, 6)),
    "validation": Split(1_000, range(6, 7)),
    "test": Split(1_000, range(7, 8)),
    "wording": Split(1_000, range(8, 9), reserved=True),
    "longer": Split(1_000, range(9, 10), steps=range(5, 7), templates=False),
}


class WordProblems(BaseTask):
    """Makes its own problems from ``seed``; ``size`` is the number of problems in each split.

    Without ``size``, 5,000 to train on and 1,000 in each other split. A smaller split is the
    beginning of a larger one. A problem's ``meta`` has its ``template``, the number of ``steps``,
    its ``distractors`` (numbers that aren't needed) and its ``plan``.
    """

    name = "wordproblems"
    description = "Word problems made from a seed, in one to six arithmetic steps"
    instructions = (
        "Solve the word problem step by step. Each turn, call one function with numbers from the "
        "story or from earlier results. Then call answer with the final number."
    )
    functions = ("math.add", "math.subtract", "math.multiply", "math.divide")
    splits = tuple(SPLITS)
    verifier = NumberVerifier()
    answer: JSON = ANSWER
    examples = (
        (
            Problem(
                "Six buses take 252 children to the sea, the same number in each. 17 children in "
                "the first bus are asleep. How many children in it are awake?"
            ),
            (
                Call("divide", {"a": 252, "b": 6}),
                Call("subtract", {"a": Previous(), "b": 17}),
                Call("answer", {"value": Previous()}),
            ),
        ),
        (
            Problem(
                "A florist ties 14 bunches of 9 roses and 8 bunches of 5 lilies. How many flowers "
                "are in the bunches?"
            ),
            (
                Call("multiply", {"a": 14, "b": 9}),
                Call("multiply", {"a": 8, "b": 5}),
                Call("add", {"a": Previous(2), "b": Previous(1)}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(self, seed: int = 0, size: int | None = None) -> None:
        if not isinstance(seed, int):
            raise DataError(f"seed must be a whole number, not {seed!r}")
        if size is not None and not (isinstance(size, int) and size >= 1):
            raise DataError(f"size must be a whole number, at least 1: not {size!r}")
        self.seed = seed
        self.size = size

    def problems(self, split: str) -> Iterator[Problem]:
        """The split's problems, made one by one, no key twice. Raises DataError if it is none."""
        if split not in SPLITS:
            raise DataError(f"wordproblems has no split {split!r}: it has {', '.join(SPLITS)}")
        return self._make(split, SPLITS[split])

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The calls that solve it, as its plan says. Raises DataError if it has no plan."""
        if "plan" not in problem.meta:
            raise DataError(
                "wordproblems can solve its own problems alone, whose plan it knows, and made none "
                f"that asks {problem.question[:60]!r}: ask a model, or choose one with --problem"
            )
        return to_calls(problem.meta["plan"])

    def _make(self, name: str, split: Split) -> Iterator[Problem]:
        rng = random.Random(f"{self.seed}/{name}")
        sources: tuple[Template | Story, ...] = stories()
        if split.templates:
            sources = (*templates(), *sources)
        size = split.size if self.size is None else self.size
        seen: set[str] = set()
        while len(seen) < size:
            source = rng.choice(sources)
            draft = _draft(source, rng, split)
            text = draft.tell(rng, split.reserved)
            problem = _problem(text, draft, source.name, f"{name}-{self.seed}-{len(seen)}")
            if problem.key not in seen:
                seen.add(problem.key)
                yield problem


def share(steps: Sequence[Step]) -> int:
    """The tenth of all problems that these steps belong to, by their numbers in any order."""
    numbers = sorted(
        str(operand)
        for step in steps
        for operand in (step.a, step.b)
        if not isinstance(operand, Made)
    )
    return crc32(" ".join(numbers).encode()) % 10


def _draft(source: Template | Story, rng: random.Random, split: Split) -> Draft:
    # Again until it fits, so that every template makes as many problems, however seldom it does.
    for _ in range(TRIES):
        try:
            draft = source.draft(rng, split.steps)
        except Unfit:
            continue
        if share(draft.steps) in split.share:
            return draft
    raise DataError(
        f"the template {source.name} found no numbers for a split in {TRIES:,} tries: "
        "give its slots wider ranges"
    )


def _problem(text: str, draft: Draft, template: str, name: str) -> Problem:
    plan = to_json(draft.steps)
    needed = [operand for step in plan for operand in (step["a"], step["b"])]
    numbers = [float(found) if "." in found else int(found) for found in NUMBER.findall(text)]
    meta = {
        "template": template,
        "steps": len(plan),
        "distractors": [number for number in numbers if number not in needed],
        "plan": plan,
    }
    return Problem(text, plain(draft.result), id=name, meta=meta)
