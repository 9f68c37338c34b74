from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callsmith.agent import solve
from callsmith.backends import ReplayBackend, open_reference
from callsmith.chain import Chain, Problem
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import DataError
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.tasks import problems_of
from callsmith.testing import check_task
from callsmith_logic.folio import FOLIO
from callsmith_logic.pack import pack


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLSMITH_DATA", raising=False)


ROW = {
    "story_id": 7,
    "example_id": 21,
    "premises": ["All dogs bark. ", "Rex is a dog."],
    "premises-FOL": ["∀x (Dog(x) → Barks(x))", " Dog(rex)"],
    "conclusion": "Rex barks.",
    "label": "True",
}


def write(folder: Path, rows: list[dict[str, Any]], name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def functions() -> dict[str, Function]:
    names = [str(name).removeprefix("logic.") for name in FOLIO.functions]
    chosen = {name: pack.named("logic")[name] for name in names}
    return {**chosen, "reasoning": reasoning, "answer": answer_function(FOLIO.answer)}


def read(folder: Path, *rows: dict[str, Any]) -> list[Problem]:
    """All problems of a file, whichever split they are in."""
    task = FOLIO(write(folder, list(rows)))
    return [problem for split in task.splits for problem in task.problems(split)]


# ---- reading ------------------------------------------------------------------------------------


def test_a_problem_shows_each_premise_with_its_formula_in_our_notation(tmp_path: Path) -> None:
    [problem] = read(tmp_path, ROW)
    assert problem.text == (
        "1. All dogs bark.\n"
        "   forall x (Dog(x) -> Barks(x))\n"
        "2. Rex is a dog.\n"
        "   Dog(rex)\n\n"
        "Is this statement True, False or Unknown? Rex barks."
    )
    assert problem.gold == "True"
    assert problem.id == "folio-21"
    assert problem.meta == {
        "story": "7",
        "formulas": ["forall x (Dog(x) -> Barks(x))", "Dog(rex)"],
        "malformed": [],
    }


def test_a_malformed_formula_is_left_out_and_named(tmp_path: Path) -> None:
    [problem] = read(tmp_path, {**ROW, "premises-FOL": ["∀x (Dog(x) → Barks(x)", "Dog(rex)"]})
    assert problem.context == "1. All dogs bark.\n2. Rex is a dog.\n   Dog(rex)"
    assert problem.meta["malformed"] == [
        {
            "formula": "∀x (Dog(x) → Barks(x)",
            "reason": "there is no ) for this (, at character 4, after '∀x'",
        }
    ]


def test_a_story_without_formulas_is_kept_and_one_with_others_shows_them_apart(
    tmp_path: Path,
) -> None:
    bare = {name: value for name, value in ROW.items() if name != "premises-FOL"}
    [problem] = read(tmp_path, bare)
    assert problem.context == "1. All dogs bark.\n2. Rex is a dog."
    [problem] = read(tmp_path, {**ROW, "premises-FOL": ["Dog(rex)"]})
    assert problem.context == ("1. All dogs bark.\n2. Rex is a dog.\nFormulas:\n   Dog(rex)")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"premises": []}, "the story has no 'premises'"),
        ({"premises": 5}, "'premises' is 5, and must be texts"),
        ({"premises-FOL": [None]}, r"'premises-FOL' is \[None\], and must be texts"),
        ({"conclusion": " "}, "the row has no 'conclusion' to judge"),
        ({"label": "Perhaps"}, "the label 'Perhaps' is none of True, False, Unknown"),
    ],
)
def test_a_row_that_is_none_of_folio_s_is_named_by_its_line(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=f"train.jsonl, line 2: {reason}"):
        read(tmp_path, ROW, {**ROW, **change})


def test_a_missing_or_wrong_file_says_what_is_wanted(tmp_path: Path) -> None:
    for nowhere in (tmp_path, tmp_path / "none", tmp_path / "none.jsonl"):
        with pytest.raises(DataError, match=r"there is no folio in .*: give a file, or a folder"):
            FOLIO(nowhere)
    other = write(tmp_path, [{"question": "How many?", "answer": "#### 2"}])
    with pytest.raises(DataError, match="line 1: the story has no 'premises'"):
        list(FOLIO(other).problems("train"))


# ---- splits -------------------------------------------------------------------------------------


def stories(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Stories with two conclusions each."""
    return [
        {**ROW, "story_id": n, "premises": [f"Rex is dog {n}."], "conclusion": conclusion}
        for n in range(start, start + count)
        for conclusion in ("Rex barks.", "Rex sleeps.")
    ]


def told(task: FOLIO, split: str) -> set[str]:
    return {str(problem.meta["story"]) for problem in task.problems(split)}


def test_one_story_in_five_is_held_out_whole(tmp_path: Path) -> None:
    task = FOLIO(write(tmp_path, stories(200)))
    train, validation = told(task, "train"), told(task, "validation")
    assert train | validation == {str(n) for n in range(200)}
    assert not train & validation
    assert 25 < len(validation) < 55
    assert len(list(task.problems("train"))) == 2 * len(train)


def test_a_file_for_validation_is_used_whole_and_its_stories_are_kept_out_of_train(
    tmp_path: Path,
) -> None:
    write(tmp_path, stories(20), "folio-train.jsonl")
    write(tmp_path, stories(10, start=15), "folio-validation.jsonl")
    task = FOLIO(tmp_path)
    assert told(task, "validation") == {str(n) for n in range(15, 25)}
    assert told(task, "train") == {str(n) for n in range(15)}
    (tmp_path / "folio-train.jsonl").unlink()
    assert FOLIO(tmp_path).splits == ("validation",)


def test_the_hub_is_asked_by_name_where_there_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, split: str) -> list[dict[str, Any]]:
        asked.append((name, split))
        lines = {key: "\n".join(value) for key, value in ROW.items() if isinstance(value, list)}
        return [{**ROW, **lines, "story_id": 1, "label": "Uncertain"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    [problem] = FOLIO("tasksource/folio").problems("validation")
    assert problem.gold == "Unknown"
    assert problem.context.startswith("1. All dogs bark.\n   forall x (Dog(x) -> Barks(x))\n2. Rex")
    assert asked == [("tasksource/folio", "validation")]
    list(FOLIO().problems("validation"))
    assert asked[-1] == ("yale-nlp/FOLIO", "validation")


def test_a_hub_that_can_not_be_reached_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, split: str) -> None:
        raise ConnectionError("offline\nand more")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match=r"can't fetch yale-nlp/FOLIO .*: -O data=FOLDER$"):
        list(FOLIO().problems("train"))


# ---- chains -------------------------------------------------------------------------------------


async def test_the_worked_examples_reach_their_answers_without_a_fault() -> None:
    prompt = Prompt(FOLIO.instructions, functions(), dialect="native")
    async with Workers() as workers:
        for (problem, plan), answer in zip(FOLIO.examples, ("False", "Unknown"), strict=True):
            backend = ReplayBackend("examples", lambda asked, attempt, plan=plan: plan)
            chain = await solve(problem, backend, prompt, workers)
            assert chain.answer == answer
            assert not chain.faults
            judged = Problem(problem.question, answer, problem.context)
            assert FOLIO().judge(judged, chain).grounded


async def test_a_conclusion_s_formula_makes_a_reference_chain(tmp_path: Path) -> None:
    rows = [
        {**ROW, "conclusion-FOL": "Barks(rex)"},
        {**ROW, "conclusion": "Rex sleeps.", "conclusion-FOL": "Sleeps(rex)", "label": "Uncertain"},
        {**ROW, "conclusion": "Rex eats."},
        {**ROW, "conclusion": "Rex runs.", "conclusion-FOL": "Runs(rex"},
    ]
    task = FOLIO(write(tmp_path, rows, "validation.jsonl"))
    problems = list(task.problems("validation"))
    assert [len(task.reference(problem)) for problem in problems] == [2, 2, 0, 0]
    prompt = Prompt(task.instructions, functions(), dialect="native")
    async with Workers() as workers:
        for problem in problems[:2]:
            chain = await solve(problem, open_reference("", task=task), prompt, workers)
            assert task.judge(problem, chain).correct


def test_an_answer_is_judged_in_its_usual_spellings() -> None:
    problem = Problem("Is this so?", "Unknown")
    for answer in ("Uncertain", "C", "unknown."):
        assert FOLIO().judge(problem, Chain(problem, stop="answer", answer=answer)).correct
    assert not FOLIO().judge(problem, Chain(problem, stop="answer", answer="True")).correct


def test_folio_s_own_file_is_read_whole(data: Path) -> None:
    if not (data / "folio" / "train.jsonl").is_file():
        pytest.skip(f"FOLIO is not in {data}")
    task = FOLIO(data)
    train, validation = problems_of(task, "train"), problems_of(task, "validation")
    assert len(train) + len(validation) == 1003  # one row is there twice
    assert not told(task, "train") & told(task, "validation")
    malformed = {p.meta["story"] for p in (*train, *validation) if p.meta["malformed"]}
    assert len(malformed) == 11
    check_task(task, split="validation", limit=None).raise_if_failed()
