"""Tasks from a JSONL file, and reading such files with errors that name the line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from callsmith.chain import JSON, Problem
from callsmith.errors import DataError
from callsmith.numerals import shorten
from callsmith.tasks import BaseTask, FunctionRef
from callsmith.values import plain
from callsmith.verifiers import (
    ExactVerifier,
    LabelVerifier,
    NumberVerifier,
    SetVerifier,
    Verifier,
)

AnswerKind: TypeAlias = Literal["number", "label", "text", "set", "json"]
ANSWERS: tuple[AnswerKind, ...] = get_args(AnswerKind)


class JsonlTask(BaseTask):
    """Problems from a JSONL file: rows of ``question`` and ``answer``.

    Optional in a row: ``context`` (a text that the question is about), ``id``, ``split``
    (``train`` without one); whatever else it has becomes the problem's ``meta``.

    ``answer`` says how answers are compared: as a ``number`` (within ``tolerance``), a ``label``
    (one of ``labels``, by default those in the file), a ``text``, a ``set``, or any ``json``
    value. Raises DataError, with file and line, for a row that can't be used.
    """

    def __init__(
        self,
        path: str | Path,
        answer: AnswerKind = "number",
        functions: Sequence[FunctionRef] = (),
        *,
        name: str = "",
        description: str = "",
        instructions: str = BaseTask.instructions,
        labels: Sequence[str] | Mapping[str, Sequence[str]] = (),
        tolerance: float = NumberVerifier.tolerance,
    ) -> None:
        path = Path(path)
        self.name = name or path.stem
        self.description = description or f"problems from {path.name}"
        self.instructions = instructions
        self.functions = tuple(functions)
        rows = [(line, _read_row(row, f"{path}, line {line}")) for line, row in read_jsonl(path)]
        self.verifier = _verifier(
            answer, labels or sorted({str(problem.gold) for _, (problem, _) in rows}), tolerance
        )
        self.answer = self.verifier.answer
        self._problems: dict[str, list[Problem]] = {}
        for line, (problem, split) in rows:
            readable, reason = self.verifier.compare(problem.gold, problem.gold)
            if answer == "text" and not isinstance(problem.gold, str):
                readable, reason = False, f"{shorten(problem.gold)} is no text"
            if not readable:
                raise DataError(f"{path}, line {line}: the answer can't be used: {reason}")
            self._problems.setdefault(split, []).append(problem)
        if not rows:
            raise DataError(f"{path} is empty: it needs a line for each problem")
        self.splits = tuple(self._problems)

    def problems(self, split: str) -> Iterable[Problem]:
        return self._problems.get(split, ())


def _verifier(
    kind: str, labels: Sequence[str] | Mapping[str, Sequence[str]], tolerance: float
) -> Verifier:
    match kind:
        case "number":
            return NumberVerifier(tolerance)
        case "label":
            return LabelVerifier(labels)
        case "set":
            return SetVerifier()
        case "text":
            return ExactVerifier({"type": "string"})
        case "json":
            return ExactVerifier()
    raise DataError(f"answers can't be compared as {kind!r}: say number, label, text, set or json")


def _read_row(row: Mapping[str, JSON], where: str) -> tuple[Problem, str]:
    """The row's problem and split."""
    known = {name: row.get(name, "") for name in ("question", "context", "id", "split")}
    for name in ("question", "context", "split"):
        if not isinstance(known[name], str):
            raise DataError(f"{where}: {name!r} is {shorten(known[name])}, and must be a text")
    if not known["question"].strip():
        raise DataError(f"{where}: the row has no 'question'")
    if row.get("answer") in (None, ""):
        raise DataError(f"{where}: the problem has no 'answer' to judge by")
    meta = {name: value for name, value in row.items() if name not in {*known, "answer"}}
    problem = Problem(
        known["question"], row["answer"], known["context"], id=str(known["id"]), meta=meta
    )
    return problem, known["split"] or "train"


def read_jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, JSON]]]:
    """The objects in a JSONL file with their line numbers; blank lines are skipped.

    Raises DataError if the file can't be read, or names the line that is no JSON object.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _read_object(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"can't read {path}: {why}") from error


def _read_object(line: str, where: str) -> Mapping[str, JSON]:
    try:
        row = plain(json.loads(line))
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", None) or str(error)
        raise DataError(f"{where}: the line is no JSON ({why})") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: the line is no JSON object but {shorten(row)}")
    return row
