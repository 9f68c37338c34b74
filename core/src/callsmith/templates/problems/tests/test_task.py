"""The task's verifier knows right from wrong."""

from callsmith import Chain

from callsmith_packname.task import PackTask

task = PackTask()
problems = [problem for split in task.splits for problem in task.problems(split)]


def test_right_answers_are_right_and_others_are_not() -> None:
    for problem in problems:
        right = Chain(problem, stop="answer", answer=problem.gold)
        assert task.judge(problem, right).correct
        for wrong in task.verifier.corrupted(problem.gold):
            assert not task.judge(problem, Chain(problem, stop="answer", answer=wrong)).correct
