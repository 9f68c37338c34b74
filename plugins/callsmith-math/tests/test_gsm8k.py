from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith.agent import solve
from callsmith.backends import Backend, Completion, Previous, Request, open_reference
from callsmith.chain import Call, Chain, Problem
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import DataError, Rejected
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.tasks import problems_of
from callsmith.testing import check_task
from callsmith_math.annotations import read_annotations, recorded_script, reference_script
from callsmith_math.functions import pack
from callsmith_math.gsm8k import GSM8K, open_solutions

CLIPS = "Natalia sold 48/2 = <<48/2=24>>24 in May.\nThat is 48+24 = <<48+24=72>>72.\n#### 72"


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLSMITH_DATA", raising=False)


def functions() -> dict[str, Function]:
    names = [str(name).removeprefix("math.") for name in GSM8K.functions]
    chosen = {name: pack.named("math")[name] for name in names}
    return {**chosen, "reasoning": reasoning, "answer": answer_function(GSM8K.answer)}


PROMPT = Prompt(GSM8K.instructions, functions(), dialect="native")


async def run(backend: Backend, problems: list[Problem], attempts: int = 1) -> list[Chain]:
    async with Workers() as workers:
        return [
            await solve(problem, backend, PROMPT, workers, attempt=attempt)
            for problem in problems
            for attempt in range(attempts)
        ]


def calls(solution: str) -> list[Call]:
    return list(reference_script(solution).calls)


# ---- annotations --------------------------------------------------------------------------------


def test_a_gold_solution_becomes_calls_that_answer_with_the_last_result() -> None:
    assert calls(CLIPS) == [
        Call("divide", {"a": 48, "b": 2}, expected=24),
        Call("add", {"a": 48, "b": 24}, expected=72),
        Call("answer", {"value": Previous()}),
    ]


def test_what_is_recorded_belongs_to_the_last_call_of_an_annotation() -> None:
    assert calls("<<(3*24)-4=68.00>>\n#### 68")[:2] == [
        Call("multiply", {"a": 3, "b": 24}),
        Call("subtract", {"a": Previous(), "b": 4}, expected=68),
    ]


def test_a_part_that_was_computed_before_is_used_again() -> None:
    made = calls("<<8*(1/4)=2>> <<12*(1/4)=3>> <<1/4*1=.25>>")
    assert [call.name for call in made] == ["divide", "multiply", "multiply", "multiply", "answer"]
    assert [call.arguments for call in made[1:4]] == [
        {"a": 8, "b": Previous(1)},
        {"a": 12, "b": Previous(2)},
        {"a": Previous(3), "b": 1},
    ]


def test_the_result_of_an_annotation_is_computed_each_time() -> None:
    assert [call.expected for call in calls("<<4*5=20>> <<4*5=20>>")[:2]] == [20, 20]


@pytest.mark.parametrize(
    ("annotation", "made"),
    [
        ("<<5=5>>", Call("add", {"a": 5, "b": 0}, expected=5)),
        ("<< 3 * .5 = 1.50 >>", Call("multiply", {"a": 3, "b": 0.5}, expected=1.5)),
        ("<<120,000/3=40,000>>", Call("divide", {"a": 120000, "b": 3}, expected=40000)),
        ("<<560//10=56>>", Call("divide", {"a": 560, "b": 10}, expected=56)),
        ("<<50000*5%=2500>>", Call("multiply", {"a": 50000, "b": 0.05}, expected=2500)),
        ("<<-20+10=-10>>", Call("add", {"a": -20, "b": 10}, expected=-10)),
        ("<<B+5=5+5=10>>", Call("add", {"a": 5, "b": 5}, expected=10)),
    ],
)
def test_annotations_are_read_as_they_are_written(annotation: str, made: Call) -> None:
    assert calls(annotation)[0] == made


@pytest.mark.parametrize(
    "annotation",
    ["<<>>", "<<=>>", "<<5>>", "<<s*2=2s>>", "<<x+56=86>>", "<<2+=2>>", "<<2*3=six>>", "<<9=>>"],
)
def test_an_annotation_that_is_no_computation_stays_in_the_prose(annotation: str) -> None:
    script = recorded_script(f"So {annotation} and <<2+2=4>>4.\nA: 4")
    assert [found.text for found in script.left_out] == [annotation]
    assert script.turns[0] == (
        f"So {annotation} and ",
        Call("add", {"a": 2, "b": 2}, expected=4),
    )


def test_a_recorded_solution_keeps_its_own_answer() -> None:
    def answer(solution: str) -> Call:
        return recorded_script(solution).calls[-1]

    assert answer("<<2+2=4>>4\nA: 1,005") == Call("answer", {"value": 1005})
    assert answer("<<2+2=4>>4\nA: two or three") == Call("answer", {"value": "two or three"})
    assert answer("no computation\nA: 3") == Call("answer", {"value": 3})
    assert answer("<<2+2=4>>4, cut o").name == "add"


def test_a_solution_without_annotations_gives_no_reference_chain() -> None:
    assert calls("He has 2 left.\n#### 2") == []


@given(st.text(alphabet="<>=0123456789+-*/().,% xA:#\n", max_size=80))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    script = recorded_script(text)
    found = read_annotations(text)
    expected = [call for call in script.calls if call.expected is not None]
    assert len(found) == len(expected) + len(script.left_out)


# ---- the files ----------------------------------------------------------------------------------


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ROW = {"question": "How many clips?", "answer": CLIPS}
RECORDED = {
    "question": "How many ducks?",
    "ground_truth": "16-7 = <<16-7=9>>9\nA: 9",
    "small": {
        "solution": "It is 16-3 = <<16-3=12>>12 and\nthat is all.\nA: 12",
        "is_correct": False,
    },
    "large": {"solution": "16-7 = <<16-7=9>>9\nA: 9", "is_correct": True},
}


@pytest.mark.parametrize("place", ["train.jsonl", "gsm8k/train.jsonl"])
def test_finds_the_files_in_a_folder(tmp_path: Path, monkeypatch, place: str) -> None:
    path = write(tmp_path / place, ROW)
    monkeypatch.setenv("CALLSMITH_DATA", str(tmp_path))
    for task in (GSM8K(tmp_path), GSM8K(path), GSM8K()):
        assert task.splits == ("train",)
        (problem,) = task.problems("train")
        assert (problem.question, problem.gold, problem.id) == ("How many clips?", 72, "train-1")


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no GSM8K in .* give a file, or a folder with"):
        GSM8K(tmp_path)


@pytest.mark.parametrize(
    "row", [{"question": "?"}, {"question": "?", "answer": "72"}, {"answer": CLIPS}]
)
def test_a_row_of_another_kind_is_named_by_file_and_line(tmp_path: Path, row: object) -> None:
    path = write(tmp_path / "train.jsonl", ROW, row)
    with pytest.raises(DataError, match=r"train\.jsonl, line 2: the "):
        list(GSM8K(path).problems("train"))


def test_without_files_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, config: str, split: str) -> list[object]:
        asked.append((name, config, split))
        return [ROW]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    task = GSM8K()
    assert task.splits == ("train", "test")
    assert [problem.gold for problem in task.problems("test")] == [72]
    assert asked == [("openai/gsm8k", "main", "test")]


def test_without_files_library_or_network_the_way_out_is_told(monkeypatch) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match=r"can't fetch openai/gsm8k .*no route.*give the folder"):
        list(GSM8K().problems("train"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"give the folder .* or install datasets"):
        list(GSM8K().problems("train"))


# ---- replaying ----------------------------------------------------------------------------------


async def test_recorded_solutions_are_replayed_model_by_model(tmp_path: Path) -> None:
    path = write(tmp_path / "model-solutions.jsonl", RECORDED)
    task = GSM8K(path)
    (problem,) = problems_of(task, "solutions")
    small, large = await run(open_solutions(str(path), task=task), [problem], attempts=2)
    assert [step.model for step in small.steps] == ["small", "small"]
    assert [step.text for step in small.steps] == ["It is 16-3 = ", "12 and\nthat is all.\n"]
    assert small.results[0].value == 13
    assert small.results[0].note == "recorded as 12"
    assert small.answer == 12
    assert not task.judge(problem, small).correct
    assert not task.judge(problem, small).grounded
    assert [step.model for step in large.steps] == ["large", "large"]
    assert task.judge(problem, large).correct


async def test_a_solution_that_was_cut_off_does_not_answer(tmp_path: Path) -> None:
    cut = {**RECORDED, "small": {"solution": "It is <<16-3=13>>13 an", "is_correct": False}}
    path = write(tmp_path / "model-solutions.jsonl", cut)
    (chain,) = await run(open_solutions(str(path)), list(GSM8K(path).problems("solutions")))
    assert chain.results[0].value == 13
    assert chain.stop == "gave_up"


async def test_a_problem_or_attempt_that_is_not_recorded_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model-solutions.jsonl", RECORDED)
    backend = open_solutions(str(path))

    async def ask(question: str, attempt: int) -> Completion:
        return await backend.complete(Request((), problem=Problem(question), attempt=attempt))

    with pytest.raises(Rejected, match="no solution of 'How many geese"):
        await ask("How many geese?", 0)
    with pytest.raises(Rejected, match="ask for at most 2 attempts"):
        await ask("How many ducks?", 2)


def test_a_file_without_solutions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no recorded solutions"):
        open_solutions(str(write(tmp_path / "train.jsonl", ROW)))
    with pytest.raises(DataError, match="No such file"):
        open_solutions(str(tmp_path / "none.jsonl"))
    with pytest.raises(Rejected, match="needs a file"):
        open_solutions("")


# ---- the real data ------------------------------------------------------------------------------


def needed(data: Path, name: str) -> Path:
    path = data / "gsm8k" / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path


def test_a_sample_of_the_train_set_checks_out(data: Path) -> None:
    report = check_task(GSM8K(needed(data, "train.jsonl")), split="train", limit=300)
    report.raise_if_failed()
    (made,) = (c.why for c in report.passed if c.name == "reference chains run without a fault")
    correct, total = map(int, re.findall(r"\d+", made))
    assert total == 295
    assert correct > 0.9 * total


async def test_every_annotation_of_the_train_set_is_executed_and_agrees(data: Path) -> None:
    task = GSM8K(needed(data, "train.jsonl"))
    problems = problems_of(task, "train")
    chains = await run(open_reference("", task=task), problems)
    made = [
        result
        for chain in chains
        for call, result in zip(chain.calls, chain.results, strict=True)
        if call.expected is not None
    ]
    assert len(problems) == 7_473
    assert len(made) == 23_716
    assert not any(result.fault or result.note for result in made)
    stops = Counter(chain.stop for chain in chains)
    assert stops == {"answer": 7_378, "gave_up": 95}
    assert sum(task.judge(chain.problem, chain).correct for chain in chains) == 7_001


async def test_recorded_solutions_are_judged_as_their_file_says(data: Path) -> None:
    path = needed(data, "model-solutions.jsonl")
    task = GSM8K(path)
    chains = await run(open_solutions(str(path)), problems_of(task, "solutions"), attempts=4)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    recorded = [value for row in rows for value in row.values() if isinstance(value, dict)]
    assert len(chains) == len(recorded) == 2_640
    verdicts = [task.judge(chain.problem, chain).correct for chain in chains]
    assert verdicts == [value["is_correct"] for value in recorded]
    agreeing = sum(
        call.expected is not None and not result.fault and not result.note
        for chain in chains
        for call, result in zip(chain.calls, chain.results, strict=True)
    )
    assert agreeing >= 0.98 * 8_268
