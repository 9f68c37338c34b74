"""The task: questions that a database answers."""

from collections.abc import Sequence
from pathlib import Path

from callsmith import Call, JsonlTask, Previous, Problem


class PackTask(JsonlTask):
    """Questions to a shop's database, from ``problems.jsonl``. Their answers are numbers."""

    examples = (
        (
            Problem("What does a chair cost, in cents?", 4990, "database: shop"),
            (
                Call("tables"),
                Call("schema", {"table": "products"}),
                Call("value", {"sql": "SELECT cents FROM products WHERE name = 'chair'"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(self) -> None:
        super().__init__(
            Path(__file__).with_name("problems.jsonl"),
            "number",
            functions=["sql"],
            name="sql",
            description="questions to a shop's database",
            instructions=(
                "Answer the question by querying the database. See which tables there are, read "
                "the schemas of those you need, then write a query that gives the answer."
            ),
        )

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The tables, the schemas that matter, and the query of the problem's row."""
        schemas = [Call("schema", {"table": table}) for table in problem.meta["tables"]]
        value = Call("value", {"sql": problem.meta["sql"]})
        return [Call("tables"), *schemas, value, Call("answer", {"value": Previous()})]
