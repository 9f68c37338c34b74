"""The task's games can be won, and its verifier looks at what was played."""

from callsmith import Chain, Step, solve
from callsmith_cards.game import Game
from callsmith_cards.task import PackTask

task = PackTask()
problems = [problem for split in task.splits for problem in task.problems(split)]


def test_reference_chains_win() -> None:
    for problem in problems:
        assert task.judge(problem, solve(problem, task="cards", model="reference")).correct


def test_the_hand_counts_and_not_the_answer() -> None:
    [problem] = [problem for problem in problems if "deck: 7 K 4 A" in problem.context]
    two = Game.read(problem.context).draw().draw()
    for hand, right in ((two, False), (two.draw(), False), (two.draw().stand(), True)):
        steps = (Step(state={"cards": hand.kept()}), Step(state={"cards": hand.kept()}))
        for said in (21, 0):
            chain = Chain(problem, steps=steps, stop="answer", answer=said)
            assert task.judge(problem, chain).correct is right
        assert not task.judge(problem, Chain(problem, steps=steps, stop="calls")).correct
    assert not task.judge(problem, Chain(problem, stop="answer", answer=21)).correct
