"""The task's questions can be answered from their databases."""

from callsmith import solve
from callsmith_sql.task import PackTask

task = PackTask()


def test_reference_chains_come_to_the_answers() -> None:
    for split in task.splits:
        for problem in task.problems(split):
            verdict = task.judge(problem, solve(problem, task="sql", model="reference"))
            assert verdict.correct
            assert verdict.grounded
