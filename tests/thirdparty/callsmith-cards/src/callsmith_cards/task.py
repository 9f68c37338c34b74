"""The task: games to win, judged by the hand that was played."""

from collections.abc import Sequence
from pathlib import Path

from callsmith import Call, Chain, JsonlTask, Previous, Problem, Verdict
from callsmith_cards.game import Game, winning_moves


class PackTask(JsonlTask):
    """Games that can be won, from ``problems.jsonl``."""

    examples = (
        (
            Problem("Make a hand worth exactly 8.", 8, "target: 8\ndeck: 7 K A\nburies: 1"),
            (
                Call("draw"),
                Call("bury"),
                Call("draw"),
                Call("stand"),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__(
            Path(__file__).with_name("problems.jsonl"),
            "number",
            functions=["cards"],
            name="cards",
            description="a hand of cards worth exactly so much, from an open deck",
            instructions=(
                "Make a hand worth exactly the target, then stand, and answer what it is worth. "
                "An ace is worth 1; jack, queen and king are worth 10. draw takes the top card of "
                "the deck, bury puts it under the deck; the deck is given from its top."
            ),
        )

    def judge(self, problem: Problem, chain: Chain) -> Verdict:
        """Whether the hand that the chain stood with is worth the target, whatever it answers."""
        if chain.stop != "answer":
            return Verdict(False, reason="the chain does not end with an answer")
        played = [game for step in chain.steps if (game := Game.restored(step.state))]
        if not played or not played[-1].stood:
            return Verdict(False, reason="the chain does not stand")
        total = played[-1].total
        if total != problem.gold:
            return Verdict(False, reason=f"the hand is worth {total}, not {problem.gold}")
        return Verdict(True, score=1.0, grounded=True)

    def reference(self, problem: Problem) -> Sequence[Call]:
        """A look, the fewest moves that win, and the answer."""
        moves = winning_moves(Game.read(problem.context))
        if moves is None:
            raise ValueError(f"nobody can win {problem.context!r}")
        return [Call("look"), *map(Call, moves), Call("answer", {"value": Previous()})]
