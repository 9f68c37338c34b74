"""The kit for tasks finds what is wrong with them, and nothing wrong with sound ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from callsmith.backends import Previous
from callsmith.chain import JSON, Call, Chain, Problem, Verdict
from callsmith.errors import DataError
from callsmith.functions import function
from callsmith.tasks import BaseTask
from callsmith.testing import Report, check_task
from callsmith.verifiers import NumberVerifier


@function(examples=[{"a": 1, "b": 2}], inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


class Sums(BaseTask):
    name = "sums"
    functions = (add,)
    verifier = NumberVerifier()
    splits = ("train", "test")
    examples = (
        (Problem("What is 7 + 1?"), (Call("add", {"a": 7, "b": 1}), Call("answer", {"value": 8}))),
    )

    def problems(self, split: str) -> Iterator[Problem]:
        start = 0 if split == "train" else 100
        for n in range(start, start + 5):
            yield Problem(f"What is {n} + {n}?", 2 * n, meta={"n": n})

    def reference(self, problem: Problem) -> Sequence[Call]:
        n = problem.meta["n"]
        return [Call("add", {"a": n, "b": n}), Call("answer", {"value": Previous()})]


def why(report: Report) -> dict[str, str]:
    """What was seen in the checks that failed."""
    return {check.name: check.why for check in report.failed}


def test_a_sound_task_passes() -> None:
    report = check_task(Sums())
    report.raise_if_failed()
    seen = {check.name: check.why for check in report.checks}
    assert not report.skipped
    assert seen["gold answers are judged correct"] == "5 gold answers"
    assert int(seen["corrupted answers, and none at all, are judged wrong"].split()[0]) > 20
    assert seen["reference chains run without a fault"] == (
        "5 of 5 reference chains give the gold answer"
    )
    assert "2 gold answers" in str(check_task(Sums(), limit=2))


def test_a_split_that_is_not_there_is_the_caller_s_mistake() -> None:
    with pytest.raises(DataError, match="no split 'validation'"):
        check_task(Sums(), split="validation")


async def test_it_may_be_checked_where_a_loop_runs() -> None:
    assert check_task(Sums(), limit=1).ok


def test_a_verifier_that_accepts_anything_is_found() -> None:
    class Lenient(Sums):
        def judge(self, problem: Problem, chain: Chain) -> Verdict:
            return Verdict(True)

    found = why(check_task(Lenient()))["corrupted answers, and none at all, are judged wrong"]
    assert "is judged correct in 'What is 0 + 0?'" in found
    assert "no answer to 'What is 0 + 0?'" in found
    assert "more" in found.splitlines()[-1]


def test_a_gold_answer_that_is_refused_is_found() -> None:
    class Wordy(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            yield Problem(f"What is 1 + 1, {split}?", "two", meta={"n": 1})

    found = why(check_task(Wordy()))
    assert found == {
        "gold answers are judged correct": (
            "the gold answer of 'What is 1 + 1, train?' is judged wrong: 'two' is not a number"
        ),
        "reference chains run without a fault": "none of 1 reference chains gives the gold answer",
    }


def test_a_judge_may_look_at_what_a_chain_did() -> None:
    class Shown(Sums):
        def judge(self, problem: Problem, chain: Chain) -> Verdict:
            if not any(call.name == "add" for call in chain.calls):
                return Verdict(False, reason="nothing was added")
            return super().judge(problem, chain)

    report = check_task(Shown())
    report.raise_if_failed()
    seen = {check.name: check.why for check in report.checks}
    assert seen["gold answers are judged correct"] == (
        "5 gold answers, 5 only after their reference chains"
    )


def test_splits_that_share_problems_are_found() -> None:
    class Leaking(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            problems = list(super().problems("train"))
            random.Random(split).shuffle(problems)
            return iter(problems[:4])

    ((name, found),) = why(check_task(Leaking())).items()
    assert name == "splits share no problem"
    assert found.startswith("train and test share ")


def test_a_reference_chain_with_a_fault_is_found() -> None:
    class Faulty(Sums):
        def reference(self, problem: Problem) -> Sequence[Call]:
            first, last = super().reference(problem)
            return [Call("added"), first, last] if problem.meta["n"] == 3 else [first, last]

    (found,) = why(check_task(Faulty())).values()
    assert "the reference chain of 'What is 3 + 3?' has a fault: there is no function" in found


def test_problems_without_a_reference_chain_are_passed_over() -> None:
    class Partly(Sums):
        def reference(self, problem: Problem) -> Sequence[Call]:
            return super().reference(problem) if problem.meta["n"] < 2 else []

    assert "2 of 2 reference chains give the gold answer" in str(check_task(Partly()))


def test_a_judge_that_fails_on_an_answer_is_found() -> None:
    class Brittle(Sums):
        def judge(self, problem: Problem, chain: Chain) -> Verdict:
            if isinstance(chain.answer, str):
                float(chain.answer)
            return super().judge(problem, chain)

        def reference(self, problem: Problem) -> Sequence[Call]:
            return []

    found = why(check_task(Brittle()))
    assert "makes it raise ValueError" in found["no answer makes the judge fail"]


def test_problems_that_differ_from_time_to_time_or_cannot_be_recorded_are_found() -> None:
    class Moody(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            for problem in super().problems(split):
                yield replace(problem, question=f"{problem.question} {random.random()}")

    class Odd(Sums):
        gold: ClassVar[JSON] = (1, 2)

        def problems(self, split: str) -> Iterator[Problem]:
            for problem in super().problems(split):
                yield replace(problem, gold=self.gold)

    class Odder(Odd):
        gold: ClassVar[JSON] = {1, 2}

    name = "its problems can be recorded, and are the same each time"
    assert "other problems when it is asked a second time" in why(check_task(Moody()))[name]
    assert "changes when it is recorded" in why(check_task(Odd()))[name]
    assert "JSON has no set" in why(check_task(Odder()))[name]


def test_a_prompt_that_is_too_long_and_an_example_that_fails_are_found() -> None:
    class Short(Sums):
        examples = ((Problem("What is 7 + 1?"), (Call("add", {"a": 7}),)),)

    name = "the prompt leaves room for the work"
    assert "over 75% of 200, too little" in why(check_task(Sums(), context=200))[name]
    found = why(check_task(Short()))["worked examples come to their answers"]
    assert found == "the worked example 'What is 7 + 1?' fails: add needs 'b'. Usage: " + (
        "add(a: number, b: number) -> number"
    )
