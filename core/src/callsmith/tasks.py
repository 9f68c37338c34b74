"""Tasks: problems by split, the functions they are solved with, and how an answer is judged.

A task is anything with the attributes of `Task`; `BaseTask` fills in what most have in common.
`check_task` tells a task's author what is wrong with it, with no model. How answers are compared
is in `verifiers`, tasks from a file in `jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from callsmith.chain import JSON, Call, Chain, Problem, Stop, Verdict, digest
from callsmith.errors import DataError
from callsmith.functions import Function
from callsmith.numerals import shorten
from callsmith.verifiers import ExactVerifier, Verifier

if TYPE_CHECKING:
    from callsmith.isolation import Workers

FunctionRef: TypeAlias = str | Function
"""A qualified name (``math.add``), a whole pack (``math.*``, ``mcp:COMMAND``), or a Function."""

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
            for step in chain.steps
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


# ---- checking -----------------------------------------------------------------------------------

MAX_OVERLAP = 20_000
"""Problems of each split that are compared with the others: some tasks make them without end."""


@dataclass(frozen=True)
class CheckReport:
    """What `check_task` tried, and what it found wrong: one sentence each, none if all is well.

    ``corrupted`` counts the wrong answers tried, ``references`` the reference chains run, and
    ``references_correct`` those that gave the gold answer: not every data set's annotations do.
    """

    task: str
    split: str
    problems: int
    corrupted: int
    references: int
    references_correct: int
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


async def check_task(
    task: Task,
    functions: Mapping[str, Function],
    workers: Workers,
    *,
    split: str,
    limit: int | None = 100,
) -> CheckReport:
    """Check a task on the first problems of a split, with no model.

    Gold answers must be judged correct; corrupted ones, and chains that did not answer, must not;
    no problem of the split may be in another; reference chains, run with the real ``functions``
    (the task's, by the names that a model sees), must have no fault, and not all be wrong. Raises
    DataError if there is no such split, or nothing in it.
    """
    problems = problems_of(task, split, limit)
    findings: list[str] = []
    verifier: Verifier = getattr(task, "verifier", ExactVerifier())
    corrupted = 0
    for problem in problems:
        wrong = verifier.corrupted(problem.gold)
        corrupted += len(wrong)
        findings += _check_judge(task, problem, wrong)
    findings += _check_splits(task, split)
    chains: list[Chain] = []
    reference = getattr(task, "reference", None)
    if reference:
        # Some problems of a data set may have no annotations to make calls of: an empty plan.
        planned = [problem for problem in problems if reference(problem)]
        chains = await _run_references(task, planned, functions, workers)
    correct = sum(task.judge(chain.problem, chain).correct for chain in chains)
    findings += [
        f"the reference chain of {_named(chain.problem)} has a fault: {chain.faults[0].message}"
        for chain in chains
        if chain.faults
    ]
    if chains and not correct:
        findings.append(f"none of {len(chains)} reference chains gives the gold answer")
    return CheckReport(
        task.name, split, len(problems), corrupted, len(chains), correct, tuple(findings)
    )


def _check_judge(task: Task, problem: Problem, wrong: Iterable[JSON]) -> Iterator[str]:
    def judge(answer: JSON, stop: Stop = "answer") -> Verdict:
        return task.judge(problem, Chain(problem, stop=stop, answer=answer))

    verdict = judge(problem.gold)
    if not verdict.correct:
        yield f"the gold answer of {_named(problem)} is judged wrong: {verdict.reason}"
    if judge(None, stop="steps").correct:
        yield f"no answer to {_named(problem)} is judged correct"
    for answer in wrong:
        if judge(answer).correct:
            gold = shorten(problem.gold)
            yield f"{shorten(answer)} for {gold} is judged correct in {_named(problem)}"


def _check_splits(task: Task, split: str) -> Iterator[str]:
    def keys(split: str) -> dict[str, Problem]:
        return {problem.key: problem for problem in islice(task.problems(split), MAX_OVERLAP)}

    own = keys(split)
    for other in task.splits:
        shared = own.keys() & keys(other).keys() if other != split else set()
        if shared:
            example = _named(own[min(shared)])
            yield f"{split} and {other} share {len(shared)} problems, such as {example}"


async def _run_references(
    task: Task, problems: Iterable[Problem], functions: Mapping[str, Function], workers: Workers
) -> list[Chain]:
    from callsmith.agent import solve
    from callsmith.backends import open_reference
    from callsmith.dialects import Prompt

    backend = open_reference("", task=task)
    prompt = Prompt(task.instructions, functions, dialect="native")
    return [await solve(problem, backend, prompt, workers) for problem in problems]


def _named(problem: Problem) -> str:
    return problem.id or shorten(problem.question)
