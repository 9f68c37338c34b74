"""The task: problems with their answers, and how a model's answer is judged."""

from collections.abc import Sequence
from pathlib import Path

from callsmith import Call, JsonlTask, Previous, Problem


class PackTask(JsonlTask):
    """What a few things from a price list cost, from ``problems.jsonl``.

    Answers are compared as numbers; other kinds are label, text, set and json. For rules of your
    own, override ``judge``.
    """

    examples = (
        (
            Problem("What do two teas and a cake cost?", 8.0, "tea: 2.50\ncake: 3"),
            (
                Call("price", {"item": "tea"}),
                Call("price", {"item": "cake"}),
                Call("total", {"prices": [2.5, 3], "counts": [2, 1]}),
                Call("answer", {"value": 8.0}),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__(
            Path(__file__).with_name("problems.jsonl"),
            "number",
            functions=["packname"],
            name="packname",
            description="what a few things from a price list cost",
            instructions="Look up each price, then say what all of it comes to.",
            tolerance=0.005,
        )

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The calls that solve a problem, made from the ``basket`` of its row.

        With them ``-m reference`` is a teacher that needs no model.
        """
        basket = problem.meta["basket"]
        looked_up = [Call("price", {"item": item}) for item in basket]
        prices = [Previous(len(basket) - place) for place in range(len(basket))]
        summed = Call("total", {"prices": prices, "counts": list(basket.values())})
        return [*looked_up, summed, Call("answer", {"value": Previous(1)})]
