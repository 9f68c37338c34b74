"""GSM8K: grade-school word problems, read from the public files.

Their gold solutions mark each computation, ``<<48/2=24>>``, and so become reference chains whose
calls are executed. The solutions that the authors recorded of language models can be replayed as a
teacher's chains, right and wrong, with no server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from callsmith.backends import Backend, Capabilities, Completion, Previous, ReplayBackend, Request
from callsmith.chain import JSON, Call, Problem
from callsmith.errors import DataError, Rejected
from callsmith.jsonl import read_jsonl
from callsmith.numerals import shorten
from callsmith.tasks import BaseTask, Task
from callsmith.verifiers import NumberVerifier
from callsmith_math.annotations import (
    ANSWER_LINE,
    Script,
    plain_number,
    recorded_script,
    reference_script,
)

HUB_NAME = "openai/gsm8k"
SOURCE = "https://github.com/openai/grade-school-math"
FILES = {
    "train.jsonl": "train",
    "test.jsonl": "test",
    "model-solutions.jsonl": "solutions",
    "example_model_solutions.jsonl": "solutions",
}
"""The splits by file. ``solutions`` are test problems that language models' solutions are known of;
the second name is the one that OpenAI published them under."""


class GSM8K(BaseTask):
    """GSM8K from its public files, with its gold solutions as reference chains.

    ``data`` is a folder with some of `FILES` (or with a folder ``gsm8k`` that has them), or one
    file. Without it they are looked for where ``CALLSMITH_DATA`` points; if they aren't there, the
    library ``datasets`` gets train and test from the Hugging Face hub. Raises DataError if
    ``data`` has none of the files.
    """

    name = "gsm8k"
    description = "grade-school word problems (GSM8K), from its public files"
    instructions = (
        "Solve the word problem step by step: call one function for each computation, use its "
        "result in the next, and give the final number with answer."
    )
    functions = ("math.add", "math.subtract", "math.multiply", "math.divide", "math.check")
    verifier = NumberVerifier()
    examples = (
        (
            Problem(
                "Mia buys 3 boxes of 12 pencils and gives 8 pencils away. How many has she left?"
            ),
            (
                Call("multiply", {"a": 3, "b": 12}),
                Call("subtract", {"a": Previous(), "b": 8}),
                Call("answer", {"value": Previous()}),
            ),
        ),
        (
            Problem("A $60 coat is sold at a quarter off. What does it cost with $3 of shipping?"),
            (
                Call("reasoning", {"thought": "First the discount, then what is left to pay."}),
                Call("divide", {"a": 60, "b": 4}),
                Call("subtract", {"a": 60, "b": Previous()}),
                Call("add", {"a": Previous(), "b": 3}),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(self, data: str | Path | None = None) -> None:
        self.files = _find(data)
        self.splits = tuple(self.files or ("train", "test"))

    def problems(self, split: str) -> Iterator[Problem]:
        """The problems in the file's order. Raises DataError for a row that is none of GSM8K's."""
        path = self.files.get(split)
        rows = _from_file(path) if path else _from_hub(split)
        for number, (where, row) in enumerate(rows, 1):
            yield _problem(row, where, id=f"{split}-{number}")

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The gold solution's annotations as calls; nothing for one without annotations."""
        return reference_script(str(problem.meta.get("solution", ""))).calls


def _find(data: str | Path | None) -> dict[str, Path]:
    """The files there are, by split; none if they are to come from the hub."""
    given = data or os.environ.get("CALLSMITH_DATA")
    if not given:
        return {}
    path = Path(given)
    if path.is_file():
        return {FILES.get(path.name, "train"): path}
    for folder in (path, path / "gsm8k"):
        found = {split: folder / n for n, split in FILES.items() if (folder / n).is_file()}
        if found:
            return found
    if not data:
        return {}
    raise DataError(
        f"there is no GSM8K in {path}: give a file, or a folder with train.jsonl, from {SOURCE}"
    )


def _from_file(path: Path) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    for line, row in read_jsonl(path):
        yield f"{path}, line {line}", row


def _from_hub(split: str) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    way_out = f"give the folder with train.jsonl, from {SOURCE}: -O data=FOLDER"
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(
            f"GSM8K has to come from somewhere: {way_out}, or install datasets to fetch it"
        ) from error
    try:
        rows = load_dataset(HUB_NAME, "main", split=split)
    except Exception as error:  # whatever the library and the network come up with
        reason = shorten(str(error), 120)
        raise DataError(f"can't fetch {HUB_NAME} from the hub ({reason}): {way_out}") from error
    for number, row in enumerate(rows, 1):
        yield f"{HUB_NAME}, {split} row {number}", row


def _problem(row: Mapping[str, JSON], where: str, id: str) -> Problem:
    """A row of the public files; of the solutions file only the question and its own solution."""
    question, solution = row.get("question"), row.get("answer", row.get("ground_truth"))
    if not isinstance(question, str) or not isinstance(solution, str):
        raise DataError(f"{where}: the row needs a 'question' and an 'answer', both texts")
    lines = ANSWER_LINE.findall(solution)
    gold = plain_number(lines[-1]) if lines else None
    if gold is None:
        raise DataError(f"{where}: the answer has no last line like '#### 72'")
    return Problem(question, gold, id=id, meta={"solution": solution})


# ---- recorded solutions -------------------------------------------------------------------------


class SolutionsBackend:
    """Replays recorded solutions: attempt 0 is the file's first model, attempt 1 its second, ...

    A turn is one call, with the prose that the model wrote before it. Raises DataError for a file
    without solutions.
    """

    capabilities = Capabilities(dialects=("native",), samples=False, concurrency=64)

    def __init__(self, path: Path) -> None:
        self.name = f"gsm8k-solutions:{path}"
        self._path = path
        self._solutions: dict[str, dict[str, str]] = {}
        for line, row in read_jsonl(path):
            problem = _problem(row, f"{path}, line {line}", id="")
            self._solutions[problem.key] = {
                model: value["solution"]
                for model, value in row.items()
                if isinstance(value, Mapping) and isinstance(value.get("solution"), str)
            }
        if not any(self._solutions.values()):
            raise DataError(
                f"{path} has no recorded solutions: it needs rows like those of "
                f"example_model_solutions.jsonl at {SOURCE}"
            )
        self._replay = ReplayBackend(self.name, lambda *asked: self._script(*asked)[1].calls)

    async def prepare(self) -> None:
        """What was recorded is always there."""

    async def complete(self, request: Request) -> Completion:
        """The next call of the solution. Raises Rejected if there is no such solution."""
        model, script = self._script(request.problem, request.attempt)
        completion = await self._replay.complete(request)
        prose = [text for text, _ in script.turns][len(request.steps) :]
        return replace(completion, text=prose[0] if prose else "", model=model)

    async def close(self) -> None:
        """Nothing is held open."""

    def _script(self, problem: Problem, attempt: int) -> tuple[str, Script]:
        solutions = self._solutions.get(problem.key)
        if solutions is None:
            raise Rejected(
                f"{self._path} has no solution of {problem.question[:60]!r}: use the task's split "
                "solutions, with the same file as data"
            )
        if attempt >= len(solutions):
            raise Rejected(
                f"{self._path} has solutions of {len(solutions)} models for each problem: "
                f"ask for at most {len(solutions)} attempts"
            )
        model, solution = list(solutions.items())[attempt]
        return model, recorded_script(solution)


def open_solutions(name: str, *, task: Task | None = None) -> Backend:
    """``gsm8k-solutions:FILE``: the solutions in a file like OpenAI's example_model_solutions."""
    if not name:
        raise Rejected("gsm8k-solutions needs a file: gsm8k-solutions:model-solutions.jsonl, say")
    return SolutionsBackend(Path(name))
