"""The task: problems with their answers, and how a model's answer is judged."""

from pathlib import Path

from callsmith import JsonlTask


class PackTask(JsonlTask):
    """The problems in ``problems.jsonl``. For rules of your own, override ``judge``."""

    def __init__(self) -> None:
        super().__init__(
            Path(__file__).with_name("problems.jsonl"),
            "number",
            functions=["packname"],
            name="packname",
            description="the problems of packname",
        )
