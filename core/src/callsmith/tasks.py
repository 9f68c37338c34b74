"""Tasks: problems by split, the functions they are solved with, and how an answer is judged.

A task is anything with the attributes of `Task`; `BaseTask` fills in what most have in common.
`callsmith.testing.check_task` tells its author what is wrong with one. How answers are compared is
in `verifiers`, tasks from a file in `jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

from callsmith.chain import JSON, Call, Chain, Problem, Stop, Verdict, digest
from callsmith.errors import DataError
from callsmith.functions import Function
from callsmith.verifiers import ExactVerifier, Verifier

FunctionRef: TypeAlias = str | Function
"""A name (``math.add``), a pack (``math``, ``mcp:COMMAND``), a file (``my.py``), or a Function."""

CONTROL = frozenset({"reasoning", "answer"})
"""Functions that steer a chain and compute nothing: what they give grounds no answer."""


@runtime_checkable
class Task(Protocol):
    """What a task must have. A task with ``reference(problem) -> Sequence[Call]`` needs no teacher.

    ``answer`` is the JSON Schema of an answer; ``splits`` the names of the splits; ``examples``
    worked problems (with the calls to make) that become few-shot chains by being executed.
    """

    name: str
    description: str
    instructions: str
    functions: Sequence[FunctionRef]
    answer: JSON
    splits: Sequence[str]
    examples: Sequence[tuple[Problem, Sequence[Call]]]

    def problems(self, split: str) -> Iterable[Problem]: ...

    def judge(self, problem: Problem, chain: Chain) -> Verdict: ...


class BaseTask:
    """A task by its attributes: set them on a subclass or an instance, and write ``problems``.

    ``answer`` is the verifier's own schema unless it is set.
    """

    name: str
    description: str = ""
    instructions: str = "Solve the problem by calling functions."
    functions: Sequence[FunctionRef] = ()
    splits: Sequence[str] = ("train",)
    examples: Sequence[tuple[Problem, Sequence[Call]]] = ()
    verifier: Verifier = ExactVerifier()
    answer: JSON = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.answer is None or ("verifier" in vars(cls) and "answer" not in vars(cls)):
            cls.answer = cls.verifier.answer

    def problems(self, split: str) -> Iterable[Problem]:
        raise NotImplementedError

    def judge(self, problem: Problem, chain: Chain) -> Verdict:
        """Compare the chain's answer with the gold. Only a chain that answered can be correct."""
        if chain.stop != "answer":
            return Verdict(False, reason=f"no answer: {STOPS[chain.stop]}")
        correct, reason = self.verifier.compare(chain.answer, problem.gold)
        if not correct and self._gave(chain, problem.gold):
            reason += ", which an earlier call gave"
        return Verdict(correct, float(correct), reason, grounded=self._gave(chain, chain.answer))

    def _gave(self, chain: Chain, value: JSON) -> bool:
        """Whether a call that computes something gave the value."""
        return any(
            result.fault is None
            and call.name not in CONTROL
            and self.verifier.compare(result.value, value)[0]
            for step in reversed(chain.steps)  # most answers are what the last call gave
            for call, result in zip(step.calls, step.results, strict=False)
        )


STOPS: Mapping[Stop, str] = {
    "answer": "answered",
    "steps": "stopped at the step limit",
    "repeated": "stopped after the same call gave the same result three times",
    "calls": "stopped at the limit of calls",
    "tokens": "stopped at the limit of tokens",
    "seconds": "stopped at the time limit",
    "context": "the conversation outgrew what the model can read",
    "gave_up": "the model gave up",
}
"""Why a chain ended, in words."""


def problems_of(
    task: Task, split: str, limit: int | None = None, seed: int | None = None
) -> list[Problem]:
    """The problems of a split, each key once, at most ``limit``, in an order drawn by ``seed``.

    Without ``seed`` they keep the task's order. The order of two problems depends on them and the
    seed alone, so more problems in a split don't reshuffle the others. Raises DataError if there
    is no such split, or nothing in it.
    """
    if split not in task.splits:
        close = get_close_matches(split, task.splits, n=3)
        meant = f"did you mean {' or '.join(close)}? It has" if close else "it has"
        raise DataError(
            f"task {task.name} has no split {split!r}: {meant} {', '.join(task.splits)}"
        )
    found: Iterable[Problem] = _once(task.problems(split))
    if seed is not None:
        found = sorted(found, key=lambda problem: digest([seed, problem.key]))
    chosen = list(islice(found, limit))
    if not chosen:
        raise DataError(f"split {split!r} of task {task.name} is empty: there is nothing to solve")
    return chosen


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    # Not chain.unique: a task may make problems without end, and a limit must not wait for it.
    seen: set[str] = set()
    for problem in problems:
        if problem.key not in seen:
            seen.add(problem.key)
            yield problem
