"""The task's problems can be solved, and its verifier knows right from wrong."""

from callsmith import Chain, solve

from callsmith_packname.task import PackTask

task = PackTask()
problems = [problem for split in task.splits for problem in task.problems(split)]


def test_reference_chains_come_to_the_answers() -> None:
    for problem in problems:
        chain = solve(problem, task="packname", model="reference")
        assert task.judge(problem, chain).correct, chain


def test_an_answer_must_be_right_to_the_cent() -> None:
    for problem in problems:
        for given, right in ((problem.gold, True), (problem.gold + 0.01, False)):
            chain = Chain(problem, stop="answer", answer=given)
            assert task.judge(problem, chain).correct is right
