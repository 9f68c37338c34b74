"""ProofWriter and ProntoQA: from their files to chains that prove what they answer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from callsmith.agent import Limits, solve, worked_examples
from callsmith.backends import ReplayBackend, open_reference
from callsmith.chain import Call, Chain, Problem, Verdict
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import DataError
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.testing import check_task
from callsmith_logic.pack import pack
from callsmith_logic.prontoqa import ProntoQA
from callsmith_logic.proofwriter import ProofWriter
from callsmith_logic.sentences import read_sentence
from callsmith_logic.worldfiles import WorldFiles
from callsmith_logic.worlds import Rule, close
from callsmith_logic.worldtasks import read_problem

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "proofwriter.py"
LIMITS = Limits(steps=24)


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLSMITH_DATA", raising=False)


ROW = {
    "id": "ProofWriter_AttNeg-OWA-D5-1_Q1",
    "context": "Anne is red. All red things are big.",
    "question": "Is the following statement true, false, or unknown? Anne is not big.",
    "options": ["A) True", "B) False", "C) Unknown"],
    "answer": "B",
}
GOLD_PROOF = {
    "id": "ProntoQA_1",
    "context": "Each yumpus is a dumpus. Dumpuses are not sour. Max is a yumpus. Max is hot.",
    "question": "Is the following statement true or false? Max is sour.",
    "answer": "B",
    "explanation": [
        "Max is a yumpus.",
        "Each yumpus is a dumpus.",
        "Max is a dumpus.",
        "Dumpuses are not sour.",
        "Max is not sour.",
    ],
}


def write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def functions(task: type[WorldFiles]) -> dict[str, Function]:
    names = [str(name).removeprefix("logic.") for name in task.functions]
    chosen = {name: pack.named("logic")[name] for name in names}
    return {**chosen, "reasoning": reasoning, "answer": answer_function(task.answer)}


async def references(task: WorldFiles, problems: list[Problem]) -> list[tuple[Chain, Verdict]]:
    """The reference chains, executed, with their verdicts."""
    prompt = Prompt(task.instructions, functions(type(task)), dialect="native")
    backend = open_reference("", task=task)
    async with Workers(1) as workers:
        chains = [await solve(p, backend, prompt, workers, limits=LIMITS) for p in problems]
    return [(chain, task.judge(chain.problem, chain)) for chain in chains]


# ---- the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["dev.json", "proofwriter/dev.json"])
def test_finds_the_files_in_a_folder(tmp_path: Path, monkeypatch: Any, place: str) -> None:
    path = write(tmp_path / place, ROW)
    monkeypatch.setenv("CALLSMITH_DATA", str(tmp_path))
    for task in (ProofWriter(tmp_path), ProofWriter(path), ProofWriter()):
        assert task.splits == ("validation",)
        (problem,) = task.problems("validation")
        assert (problem.gold, problem.id) == ("False", ROW["id"])
        assert problem.meta["hops"] == 1


def test_a_row_per_line_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {"answer": "C"}), encoding="utf-8")
    assert [problem.gold for problem in ProofWriter(path).problems("train")] == ["False", "Unknown"]


def test_no_story_is_on_both_sides_whatever_its_order_and_question(tmp_path: Path) -> None:
    same = {"context": "All red things are big.  Anne is red.", "question": "So? Anne is red."}
    write(tmp_path / "train.json", ROW | same, ROW | {"context": "Anne is red."})
    write(tmp_path / "dev.json", ROW)
    task = ProofWriter(tmp_path)
    assert task.splits == ("train", "validation")
    assert [problem.context for problem in task.problems("train")] == ["Anne is red."]
    assert len(list(task.problems("validation"))) == 1


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no prontoqa in .*: give a file, or a folder"):
        ProntoQA(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"dev\.json is no JSON"),
        ("{}", r"dev\.json is no list of rows"),
        ("[3]", r"dev\.json, row 1 is no JSON object but 3"),
        ("[" * 5_000, r"dev\.json is no JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dev.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(ProofWriter(path).problems("validation"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": None}, "the row needs a 'context' and a 'question'"),
        ({"question": 3}, "the row needs a 'context' and a 'question'"),
        ({"answer": "D"}, "the answer 'D' is none of True, False, Unknown"),
        ({"context": "Anne may be red."}, "'Anne may be red.' is no sentence that can be read"),
        ({"question": "Is it true? Who knows."}, "does not end with a statement to judge"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "dev.json", ROW, ROW | change)
    with pytest.raises(DataError, match=rf"dev\.json, row 2: .*{message}"):
        list(ProofWriter(path).problems("validation"))


@pytest.mark.parametrize(
    ("proof", "message"),
    [
        ("Max is a yumpus.", "'explanation' is no list of sentences"),
        (["Max is a yumpus.", "Max is not sour."], "'Max is not sour.' does not follow"),
        (["Max is a yumpus.", "Therefore it is."], "'Therefore it is.' is no sentence"),
    ],
)
def test_an_explanation_that_proves_nothing_is_named(
    tmp_path: Path, proof: object, message: str
) -> None:
    path = write(tmp_path / "dev.json", GOLD_PROOF | {"explanation": proof})
    with pytest.raises(DataError, match=rf"dev\.json, row 1: .*{message}"):
        list(ProntoQA(path).problems("validation"))


def test_without_files_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    closed = {"id": "AttNeg-CWA-D5-1", "theory": ROW["context"], "question": "Anne is big."}
    rows = [ROW, closed | {"answer": "True"}, closed | {"id": "AttNeg-OWA-D5-1", "answer": "True"}]

    def load_dataset(name: str, split: str) -> list[object]:
        asked.append((name, split))
        return rows

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert ProofWriter().splits == ("validation",)
    first, second = ProofWriter().problems("validation")
    assert first.gold == "False"
    assert second.question == "Is the following statement true, false, or unknown? Anne is big."
    assert asked == [("renma/ProofWriter", "validation")]
    other = ProofWriter("tasksource/proofwriter")
    assert other.splits == ("train", "validation", "test")
    assert list(other.problems("train")) == []  # all of it is in the splits that are judged on
    assert ("tasksource/proofwriter", "train") in asked


def test_without_files_or_network_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match=r"can't fetch renma/ProntoQA .*no route.* give the folder"):
        list(ProntoQA().problems("validation"))


# ---- chains -------------------------------------------------------------------------------------


async def test_a_gold_proof_becomes_look_ups_and_steps(tmp_path: Path) -> None:
    task = ProntoQA(write(tmp_path / "dev.json", GOLD_PROOF))
    ((chain, verdict),) = await references(task, list(task.problems("validation")))
    assert [call.name for call in chain.calls] == [
        *("facts", "rules", "modus_ponens", "rules", "modus_ponens", "conclude", "answer"),
    ]
    assert [result.value for result in chain.results[2::2]] == [
        *("dumpus(Max)", "not sour(Max)", "False"),
    ]
    assert verdict.correct
    assert verdict.grounded


async def test_five_calls_and_the_right_label_prove_nothing(tmp_path: Path) -> None:
    task = ProntoQA(write(tmp_path / "dev.json", GOLD_PROOF))
    (problem,) = task.problems("validation")
    *calls, _, _, _ = task.reference(problem)
    plan = [*calls, Call("rules", {"of": "dumpus"}), Call("answer", {"value": "False"})]
    prompt = Prompt(task.instructions, functions(ProntoQA), dialect="native")
    async with Workers(1) as workers:
        chain = await solve(problem, ReplayBackend("plan", lambda *_: plan), prompt, workers)
    assert len(chain.calls) >= 5
    assert not chain.faults
    verdict = task.judge(problem, chain)
    assert verdict.correct
    assert not verdict.grounded


@pytest.mark.parametrize("task", [ProntoQA, ProofWriter])
async def test_the_worked_examples_run(task: type[WorldFiles]) -> None:
    prompt = Prompt(task.instructions, functions(task))
    async with Workers(1) as workers:
        assert await worked_examples(task.examples, prompt, workers)


# ---- the real data ------------------------------------------------------------------------------


def needed(data: Path, name: str) -> Path:
    path = data / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path


async def test_all_gold_proofs_of_prontoqa_are_executed_and_verified(data: Path) -> None:
    task = ProntoQA(needed(data, "prontoqa/dev.json"))
    problems = list(task.problems("validation"))
    made = await references(task, problems)
    assert len(made) == 250
    for chain, verdict in made:
        assert verdict.correct
        assert verdict.grounded
        assert not chain.faults
        # Each conclusion of the explanation is what a step gave, in its order, and no other is.
        found = map(read_sentence, chain.problem.meta["explanation"])
        concluded = [str(f) for f in found if not isinstance(f, Rule)][1:]
        steps = zip(chain.calls, chain.results, strict=True)
        assert [r.value for c, r in steps if c.name == "modus_ponens"] == concluded
        assert not any(result.note for result in chain.results)


def test_prontoqa_checks_out(data: Path) -> None:
    task = ProntoQA(needed(data, "prontoqa/dev.json"))
    report = check_task(task, split="validation", limit=None)
    report.raise_if_failed()
    assert "250 of 250 reference chains give the gold answer" in {c.why for c in report.passed}


@pytest.mark.parametrize(("split", "count"), [("train", 3_000), ("validation", 600)])
def test_forward_chaining_agrees_with_every_label(data: Path, split: str, count: int) -> None:
    task = ProofWriter(needed(data, "proofwriter/train.json").parent)
    problems = list(task.problems(split))
    assert len(problems) == count
    for problem in problems:
        world, goal = read_problem(problem)
        assert close(world).label(goal) == problem.gold


async def test_reference_chains_prove_every_label_of_the_dev_set(data: Path) -> None:
    task = ProofWriter(needed(data, "proofwriter/dev.json"))
    made = await references(task, list(task.problems("validation")))
    assert len(made) == 600
    for chain, verdict in made:
        assert verdict.correct
        assert verdict.grounded
        assert not chain.faults
        assert not any(result.note for result in chain.results)


def test_the_benchmark_classifies_every_difference_to_classical_logic(data: Path) -> None:
    folder = needed(data, "proofwriter/dev.json").parent
    if not BENCHMARK.is_file():
        pytest.skip(f"needs {BENCHMARK}")
    spec = importlib.util.spec_from_file_location("proofwriter_benchmark", BENCHMARK)
    assert spec
    assert spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    options = ["--data", str(folder), "--split", "validation", "--limit", "120", "--list"]
    shown = CliRunner().invoke(benchmark.main, options)
    assert shown.exit_code == 0, shown.output
    assert "120 (100.0%)" in shown.output
    assert benchmark.UNEXPLAINED not in shown.output
