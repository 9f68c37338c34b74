"""The conformance kit for tasks: all that callsmith relies on, tried with no model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice

from callsmith.agent import Limits, solve, worked_examples
from callsmith.backends import open_reference
from callsmith.chain import JSON, Chain, Dialect, Problem, Stop, Verdict
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import CallsmithError
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.numerals import shorten
from callsmith.plugins import Registry, load_registry
from callsmith.tasks import Task, problems_of
from callsmith.testing.fuzz import Progress
from callsmith.testing.prompts import DIALECTS, check_fit
from callsmith.testing.report import Failed, Report, Skipped, fail_if, run_check
from callsmith.testing.samples import NASTY_NUMBERS, NASTY_TEXTS
from callsmith.values import plain
from callsmith.verifiers import ExactVerifier, Verifier
from callsmith.workspace import run_to_end

MAX_REFERENCE = 200
"""Turns that a reference chain may take."""

MAX_OVERLAP = 20_000
"""Problems of each split that are compared with the others: some tasks make them without end."""

SECONDS = 600.0
"""That a check may take."""


def check_task(
    task: Task | str,
    *,
    split: str = "",
    limit: int | None = 200,
    context: int = 8192,
    options: Mapping[str, JSON] | None = None,
    registry: Registry | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Check a task, or the installed one of this name, and return what holds.

    Tried are the first ``limit`` problems of ``split`` (the task's first), with no model.
    ``context`` is what the smallest model that it is meant for can read, in tokens. ``options``
    are the task's own, ``registry`` where its functions come from. Raises DataError if there is
    no such split, or nothing in it.
    """
    registry = registry or load_registry()
    found = registry.task(task, **(options or {})) if isinstance(task, str) else task
    trial = TaskTrial(found, registry, split or found.splits[0], limit, context)

    async def check_all() -> Report:
        checks = []
        for number, (name, check) in enumerate(TASK_CHECKS.items()):
            progress(name, number, len(TASK_CHECKS))
            checks.append(await run_check(name, partial(check, trial), SECONDS))
        return Report(f"task {found.name}, split {trial.split}", tuple(checks))

    assert trial.problems
    return run_to_end(check_all())


class TaskTrial:
    """A task on trial, and the problems that it is tried on."""

    def __init__(
        self, task: Task, registry: Registry, split: str, limit: int | None, context: int
    ) -> None:
        self.task = task
        self.registry = registry
        self.split = split
        self.limit = limit
        self.context = context
        self._references: list[Chain] | None = None

    @cached_property
    def problems(self) -> list[Problem]:
        return problems_of(self.task, self.split, self.limit)

    @cached_property
    def functions(self) -> dict[str, Function]:
        """What a model is offered."""
        chosen = self.registry.functions(self.task.functions)
        return chosen | {"reasoning": reasoning, "answer": answer_function(self.task.answer)}

    @property
    def verifier(self) -> Verifier:
        return getattr(self.task, "verifier", ExactVerifier())

    def judge(self, problem: Problem, answer: JSON, stop: Stop = "answer") -> Verdict:
        return self.task.judge(problem, Chain(problem, stop=stop, answer=answer))

    # ---- the checks -----------------------------------------------------------------------------

    async def check_functions(self) -> str:
        names = [name for name in self.functions if name not in ("reasoning", "answer")]
        return f"{len(names)}: {', '.join(names)}" if names else "none"

    async def check_problems(self) -> str:
        findings = []
        for problem in self.problems:
            try:
                same = plain(problem.gold) == problem.gold
                plain(dict(problem.meta))
            except ValueError as error:
                findings.append(f"{named(problem)}: {error}")
                continue
            if not same:
                findings.append(f"the gold answer of {named(problem)} changes when it is recorded")
        again = problems_of(self.task, self.split, self.limit)
        if [(p.key, p.gold) for p in again] != [(p.key, p.gold) for p in self.problems]:
            findings.append(f"{self.split} gives other problems when it is asked a second time")
        fail_if(findings)
        return f"{len(self.problems):,}"

    async def check_gold(self) -> str:
        verdicts = [(problem, self.judge(problem, problem.gold)) for problem in self.problems]
        refused = [(problem, verdict) for problem, verdict in verdicts if not verdict.correct]
        # A judge may look at what a chain did. To it a bare answer is no solution, but a reference
        # chain that comes to the gold answer is.
        worked = {
            chain.problem.key
            for chain in (await self._reference_chains() if refused else ())
            if chain.answer == chain.problem.gold and self.task.judge(chain.problem, chain).correct
        }
        fail_if(
            [
                f"the gold answer of {named(problem)} is judged wrong: {verdict.reason}"
                for problem, verdict in refused
                if problem.key not in worked
            ]
        )
        count = f"{len(verdicts):,} gold answers"
        return f"{count}, {len(refused):,} only after their reference chains" if refused else count

    async def check_corrupted(self) -> str:
        findings, tried = [], 0
        for problem in self.problems:
            if self.judge(problem, None, stop="steps").correct:
                findings.append(f"no answer to {named(problem)} is judged correct")
            for answer in self.verifier.corrupted(problem.gold):
                tried += 1
                if self.judge(problem, answer).correct:
                    gold = shorten(problem.gold)
                    findings.append(
                        f"{shorten(answer)} for {gold} is judged correct in {named(problem)}"
                    )
        fail_if(findings)
        return f"{tried:,} corrupted answers"

    async def check_nonsense(self) -> str:
        nested: JSON = []
        for _ in range(15):
            nested = [nested]
        answers = [*NASTY_TEXTS, *NASTY_NUMBERS, True, nested, {}, {"value": None}, [1] * 1_000]
        findings = []
        for problem in self.problems[:5]:
            for answer in answers:
                try:
                    self.judge(problem, answer)
                except Exception as error:
                    findings.append(f"{shorten(answer)} makes it raise {type(error).__name__}")
        fail_if(list(dict.fromkeys(findings)))
        return f"{len(answers)} strange answers"

    async def check_splits(self) -> str:
        if len(self.task.splits) < 2:
            raise Skipped("there is only one")
        own, findings = self._keys(self.split), []
        for other in self.task.splits:
            shared = own.keys() & self._keys(other).keys() if other != self.split else set()
            if shared:
                example = named(own[min(shared)])
                findings.append(
                    f"{self.split} and {other} share {len(shared)} problems, such as {example}"
                )
        fail_if(findings)
        return f"{', '.join(self.task.splits)}"

    def _keys(self, split: str) -> dict[str, Problem]:
        return {p.key: p for p in islice(self.task.problems(split), MAX_OVERLAP)}

    async def check_references(self) -> str:
        if getattr(self.task, "reference", None) is None:
            raise Skipped("it has none")
        chains = await self._reference_chains()
        findings = [
            f"the reference chain of {named(chain.problem)} has a fault: {chain.faults[0].message}"
            for chain in chains
            if chain.faults
        ]
        correct = sum(self.task.judge(chain.problem, chain).correct for chain in chains)
        if chains and not correct:
            findings.append(f"none of {len(chains)} reference chains gives the gold answer")
        fail_if(findings)
        # Not every data set's annotations come to its gold answer.
        return f"{correct:,} of {len(chains):,} reference chains give the gold answer"

    async def _reference_chains(self) -> list[Chain]:
        """The reference chains of the problems that have one, executed once."""
        reference = getattr(self.task, "reference", None)
        if self._references is None and reference is not None:
            # Some problems of a data set may have no annotations to make calls of: an empty plan.
            planned = [problem for problem in self.problems if reference(problem)]
            backend = open_reference("", task=self.task)
            prompt = Prompt(self.task.instructions, self.functions, dialect="native")
            limits = Limits(steps=MAX_REFERENCE)
            async with Workers() as workers:
                self._references = [
                    await solve(problem, backend, prompt, workers, limits=limits)
                    for problem in planned
                ]
        return self._references or []

    async def check_examples(self) -> str:
        if not self.task.examples:
            raise Skipped("it has none")
        return f"{len((await self._prompts())['text'].examples)}"

    async def check_prompt(self) -> str:
        longest = max(self.problems, key=lambda problem: len(problem.text))
        return check_fit(await self._prompts(), longest, self.context)

    async def _prompts(self) -> dict[Dialect, Prompt]:
        """Whole prompts, the worked examples among them."""
        bare = Prompt(self.task.instructions, self.functions)
        try:
            async with Workers(1) as workers:
                chains = await worked_examples(self.task.examples, bare, workers)
        except CallsmithError as error:
            raise Failed(str(error)) from error
        return {one: replace(bare, dialect=one, examples=chains) for one in DIALECTS}


TASK_CHECKS: Mapping[str, Callable[[TaskTrial], Awaitable[str]]] = {
    "its functions can be offered together": TaskTrial.check_functions,
    "its problems can be recorded, and are the same each time": TaskTrial.check_problems,
    "gold answers are judged correct": TaskTrial.check_gold,
    "corrupted answers, and none at all, are judged wrong": TaskTrial.check_corrupted,
    "no answer makes the judge fail": TaskTrial.check_nonsense,
    "splits share no problem": TaskTrial.check_splits,
    "reference chains run without a fault": TaskTrial.check_references,
    "worked examples come to their answers": TaskTrial.check_examples,
    "the prompt leaves room for the work": TaskTrial.check_prompt,
}
"""Each by the sentence that should hold."""


def named(problem: Problem) -> str:
    return problem.id or shorten(problem.question)
