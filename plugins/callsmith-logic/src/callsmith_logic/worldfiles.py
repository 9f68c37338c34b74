"""Public problem sets about worlds: files in the form that Logic-LM gave them, or the hub.

A row has ``context`` (or ``theory``), ``question`` and ``answer``. Every row is read whole when it
is reached, so that a set with a sentence that can't be read is refused where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from callsmith.chain import JSON, Problem, digest
from callsmith.errors import DataError
from callsmith.jsonl import read_jsonl
from callsmith.numerals import shorten
from callsmith.values import plain
from callsmith_logic.errors import SentenceError
from callsmith_logic.sentences import goal_of, read_world, split_sentences
from callsmith_logic.sources import find_files, hub_rows
from callsmith_logic.worldtasks import WorldTask

SOURCE = "https://github.com/teacherpeterpan/Logic-LLM"
FILES = {
    "train.json": "train",
    "dev.json": "validation",
    "test.json": "test",
    "train.jsonl": "train",
    "dev.jsonl": "validation",
    "test.jsonl": "test",
}
"""The splits by file."""

JUDGED_ON = ("test", "validation")
"""Splits whose stories are left out of ``train``."""


class WorldFiles(WorldTask):
    """A public set from ``data``: a folder with some of `FILES` (or with a folder of the task's
    name that has them), one file, or the name of a data set on the Hugging Face hub.

    Without it the files are looked for where ``CALLSMITH_DATA`` points, then `hub_name` is fetched.
    Raises DataError if ``data`` has none of the files. A problem's ``meta`` has its ``story``, the
    same for all problems about one text, which are never on both sides of a split, and its
    ``hops``: the rules that follow one another in the shortest proof, None if there is none.
    """

    hub_name: str
    question = "Is the following statement true, false, or unknown?"
    """Put before the statement, in rows whose question is nothing else."""

    def __init__(self, data: str | Path | None = None) -> None:
        self.files = find_files(data, self.name, FILES, SOURCE)
        self.splits: tuple[str, ...] = tuple(
            s for s in dict.fromkeys(FILES.values()) if s in self.files
        )
        if not self.files:
            other = bool(data) and str(data) != self.hub_name
            self.splits = ("train", "validation", "test") if other else ("validation",)
            self.hub_name = str(data or self.hub_name)

    def problems(self, split: str) -> Iterator[Problem]:
        """The problems in the file's order. Raises DataError for a row that can't be one."""
        others = [other for other in JUDGED_ON if other in self.splits and split == "train"]
        apart = {story_of(row) for other in others for _, row in self._rows(other)}
        for where, row in self._rows(split):
            if self.takes(row) and story_of(row) not in apart:
                yield self.problem(row, where)

    def takes(self, row: Mapping[str, JSON]) -> bool:
        """Whether the row is of the kind that the task is about; others are passed over."""
        return True

    def problem(self, row: Mapping[str, JSON], where: str) -> Problem:
        """A row as a problem. Raises DataError, with where it stands, if it can't be one."""
        question = row.get("question")
        if not isinstance(question, str) or not question.strip() or not _text(row):
            raise DataError(f"{where}: the row needs a 'context' and a 'question', both texts")
        gold = self.verifier.read(row.get("answer"))
        if gold is None:
            labels = ", ".join(self.verifier.labels)
            raise DataError(f"{where}: the answer {shorten(row.get('answer'))} is none of {labels}")
        if "?" not in question:
            question = f"{self.question} {question}"
        problem = Problem(question, gold, _text(row), id=str(row.get("id", "")))
        try:
            world = read_world(problem.context)
        except SentenceError as error:
            raise DataError(f"{where}: {error}") from error
        goal = goal_of(problem)
        if goal is None:
            raise DataError(f"{where}: {shorten(question)} does not end with a statement to judge")
        hops = next((world.closure.hops[g] for g in (goal, -goal) if g in world.closure.hops), None)
        meta = {"story": story_of(row), "hops": hops}
        return Problem(question, gold, problem.context, problem.id, meta)

    def _rows(self, split: str) -> Iterator[tuple[str, Mapping[str, JSON]]]:
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: it has {', '.join(self.splits)}")
        if split in self.files:
            return _file_rows(self.files[split])
        names = " or ".join(list(FILES)[:2])
        return hub_rows(
            self.hub_name, split, f"give the folder with {names}, from {SOURCE}: -O data=FOLDER"
        )


def story_of(row: Mapping[str, JSON]) -> str:
    """16 hex digits of what the row's text states, in whatever order."""
    return digest(sorted(split_sentences(_text(row))))


def _text(row: Mapping[str, JSON]) -> str:
    text = row.get("context") or row.get("theory")
    return text if isinstance(text, str) else ""


def _file_rows(path: Path) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    """The rows of a file with where each stands. Raises DataError if it is no list of objects."""
    if path.suffix == ".jsonl":
        for line, row in read_jsonl(path):
            yield f"{path}, line {line}", row
        return
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"can't read {path}: {why}") from error
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or str(error)
        raise DataError(f"{path} is no JSON ({why}): it needs a list of rows") from error
    if not isinstance(rows, list):
        raise DataError(f"{path} is no list of rows, as the files from {SOURCE} are")
    for number, row in enumerate(rows, 1):
        where = f"{path}, row {number}"
        try:
            row = plain(row)
        except ValueError as error:
            raise DataError(f"{where} can't be used: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where} is no JSON object but {shorten(row)}")
        yield where, row
