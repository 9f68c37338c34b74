"""FOLIO: stories in plain English, with their formulas in first-order logic beside them.

What has to be judged, the conclusion, often comes without a formula: the model writes one itself,
in the words of the premises' formulas, and has it proven or refuted. A story whose formulas are
malformed is kept, with those that can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zlib import crc32

from callsmith.backends import Previous
from callsmith.chain import JSON, Call, Problem, digest
from callsmith.errors import DataError
from callsmith.jsonl import read_jsonl
from callsmith.numerals import shorten
from callsmith.tasks import BaseTask
from callsmith_logic.errors import FormulaError
from callsmith_logic.grammar import statement
from callsmith_logic.labels import LABELS
from callsmith_logic.printing import show
from callsmith_logic.sources import find_files, hub_rows, is_hub_name

HUB_NAME = "yale-nlp/FOLIO"
SOURCE = "https://github.com/Yale-LILY/FOLIO"
FILES = {
    "train.jsonl": "train",
    "validation.jsonl": "validation",
    "folio-train.jsonl": "train",
    "folio-validation.jsonl": "validation",
    "folio_v2_train.jsonl": "train",
    "folio_v2_validation.jsonl": "validation",
}
"""The splits by file, as they are called on GitHub and on the hub."""

HELD_OUT = 5
"""Where there is no file for validation, one story of so many is kept for it."""


class FOLIO(BaseTask):
    """FOLIO from its public files.

    ``data`` is a folder with some of `FILES` (or with a folder ``folio`` that has them), one file,
    or the name of a data set on the Hugging Face hub, ``yale-nlp/FOLIO`` say. Without it the files
    are looked for where ``CALLSMITH_DATA`` points, then on the hub. Raises DataError if ``data``
    has none of the files.

    A problem's ``meta`` has the ``story``, the ``formulas`` of its premises as far as they can be
    read, those that are ``malformed`` with the reason, and the ``conclusion`` as a formula where
    the file has one.
    """

    name = "folio"
    description = "first-order logic stories in plain English (FOLIO), from its public files"
    instructions = (
        "Decide whether the statement is True, False or Unknown if the premises are true. Write "
        "the statement as a formula, with the names that the premises' formulas have; a premise "
        "without a formula needs one too. Derive what you can step by step, let entails judge the "
        "statement, and give its result with answer."
    )
    functions = (
        "logic.modus_ponens",
        "logic.eliminate",
        "logic.chain",
        "logic.entails",
        "logic.well_formed",
    )
    splits: tuple[str, ...] = ("train", "validation")
    verifier = LABELS
    examples = (
        (
            Problem(
                "Is this statement True, False or Unknown? Tom goes to night clubs.",
                context="1. Every baker gets up early.\n"
                "   forall x (Baker(x) -> UpEarly(x))\n"
                "2. No one who gets up early goes to night clubs.\n"
                "   forall x (UpEarly(x) -> not Clubs(x))\n"
                "3. Tom is a baker.\n"
                "   Baker(tom)",
            ),
            (
                Call(
                    "chain",
                    {
                        "rules": [
                            "forall x (Baker(x) -> UpEarly(x))",
                            "forall x (UpEarly(x) -> not Clubs(x))",
                        ]
                    },
                ),
                Call("modus_ponens", {"rule": Previous(), "fact": "Baker(tom)"}),
                Call("entails", {"premises": [Previous()], "conclusion": "Clubs(tom)"}),
                Call("answer", {"value": Previous()}),
            ),
        ),
        (
            Problem(
                "Is this statement True, False or Unknown? Rina reads, or she paints and sings.",
                context="1. All students read or paint.\n"
                "   forall x (Student(x) -> Reads(x) or Paints(x))\n"
                "2. Rina is a student.\n"
                "   Student(rina)\n"
                "3. Some people who paint sing.",
            ),
            (
                Call("reasoning", {"thought": "The third premise needs a formula of its own."}),
                Call("well_formed", {"formula": "exists x (Paints(x) and Sings(x))"}),
                Call(
                    "entails",
                    {
                        "premises": [
                            "forall x (Student(x) -> Reads(x) or Paints(x))",
                            "Student(rina)",
                            "exists x (Paints(x) and Sings(x))",
                        ],
                        "conclusion": "Reads(rina) or (Paints(rina) and Sings(rina))",
                    },
                ),
                Call("answer", {"value": Previous()}),
            ),
        ),
    )

    def __init__(self, data: str | Path | None = None) -> None:
        self.files = find_files(data, "folio", FILES, SOURCE)
        self.hub_name = str(data) if data and is_hub_name(data) else HUB_NAME
        if self.files.keys() == {"validation"}:
            self.splits = ("validation",)

    def problems(self, split: str) -> Iterator[Problem]:
        """The problems of a split, in the file's order; no story is in both splits.

        Without a file for validation, one story of `HELD_OUT` in train's is. Raises DataError for
        a row that is none of FOLIO's.
        """
        if self.files.keys() == {"train"}:
            for row in self._rows("train"):
                if (crc32(row.story.encode()) % HELD_OUT == 0) == (split == "validation"):
                    yield row.problem
            return
        apart = {row.premises for row in self._rows("validation")} if split == "train" else set()
        for row in self._rows(split):
            if row.premises not in apart:
                yield row.problem

    def reference(self, problem: Problem) -> Sequence[Call]:
        """The conclusion judged by a solver, where the file has all formulas; else nothing."""
        conclusion, formulas = problem.meta.get("conclusion"), problem.meta.get("formulas")
        if not conclusion or not formulas or problem.meta.get("malformed"):
            return ()
        judge = Call("entails", {"premises": formulas, "conclusion": conclusion})
        return (judge, Call("answer", {"value": Previous()}))

    def _rows(self, split: str) -> Iterator[_Row]:
        path = self.files.get(split)
        if path:
            for line, row in read_jsonl(path):
                yield _Row(row, f"{path}, line {line}")
            return
        way_out = f"give the folder with folio-train.jsonl, from {SOURCE}: -O data=FOLDER"
        for where, row in hub_rows(self.hub_name, split, way_out):
            yield _Row(row, where)


class _Row:
    """A row of the files. Raises DataError, with where it stands, if it is none of FOLIO's."""

    def __init__(self, row: Mapping[str, JSON], where: str) -> None:
        self.row = row
        self.where = where
        self.sentences = self._lines("premises")
        if not self.sentences:
            raise DataError(f"{where}: the story has no 'premises'")
        self.premises = digest([" ".join(sentence.split()) for sentence in self.sentences])
        self.story = str(row.get("story_id", self.premises))

    @property
    def problem(self) -> Problem:
        """The problem, with the formulas in our own notation."""
        conclusion, gold = self.row.get("conclusion"), LABELS.read(self.row.get("label"))
        if not isinstance(conclusion, str) or not conclusion.strip():
            raise DataError(f"{self.where}: the row has no 'conclusion' to judge")
        if gold is None:
            label = shorten(self.row.get("label"))
            raise DataError(
                f"{self.where}: the label {label} is none of {', '.join(LABELS.labels)}"
            )
        formulas, malformed = self._formulas("premises-FOL")
        goal, _ = self._formulas("conclusion-FOL")
        number = self.row.get("example_id")
        return Problem(
            f"Is this statement True, False or Unknown? {conclusion.strip()}",
            gold,
            _text(self.sentences, formulas),
            id="" if number is None else f"folio-{number}",
            meta={
                "story": self.story,
                "formulas": [formula for formula in formulas if formula],
                "malformed": malformed,
                **({"conclusion": goal[0]} if goal and goal[0] else {}),
            },
        )

    def _formulas(self, name: str) -> tuple[list[str], list[dict[str, str]]]:
        """The formulas in our own notation, empty for those that are malformed; and these, each
        with the reason."""
        formulas: list[str] = []
        malformed: list[dict[str, str]] = []
        for line in self._lines(name):
            try:
                formulas.append(show(statement(line)))
            except FormulaError as error:
                formulas.append("")
                malformed.append({"formula": line, "reason": str(error)})
        return formulas, malformed

    def _lines(self, name: str) -> list[str]:
        """A list of texts, which the hub has as the lines of one. Empty if the row has none."""
        value = self.row.get(name) or []
        lines = value.splitlines() if isinstance(value, str) else value
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise DataError(f"{self.where}: {name!r} is {shorten(value)}, and must be texts")
        return [line.strip() for line in lines if line.strip()]


def _text(sentences: Sequence[str], formulas: Sequence[str]) -> str:
    """The premises, numbered, each with its formula below if there is one."""
    numbered = [f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)]
    if len(formulas) == len(sentences):
        pairs = zip(numbered, formulas, strict=True)
        return "\n".join(f"{line}\n   {formula}" if formula else line for line, formula in pairs)
    # Which formula belongs to which sentence can't be known.
    beside = ["Formulas:", *(f"   {formula}" for formula in formulas if formula)]
    return "\n".join([*numbered, *(beside if formulas else [])])
