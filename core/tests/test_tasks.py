from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from callsmith.backends import Previous
from callsmith.chain import Call, Chain, Fault, Problem, Result, Step
from callsmith.errors import DataError
from callsmith.functions import function
from callsmith.jsonl import JsonlTask, read_jsonl
from callsmith.tasks import BaseTask, Task, Verdict, problems_of
from callsmith.verifiers import LabelVerifier, NumberVerifier


@function(examples=[{"a": 1, "b": 2}], inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


class Sums(BaseTask):
    name = "sums"
    functions = (add,)
    verifier = NumberVerifier()
    splits = ("train", "test")

    def problems(self, split: str) -> Iterator[Problem]:
        start = 0 if split == "train" else 100
        for n in range(start, start + 5):
            yield Problem(f"What is {n} + {n}?", 2 * n, meta={"n": n})

    def reference(self, problem: Problem) -> Sequence[Call]:
        n = problem.meta["n"]
        return [Call("add", {"a": n, "b": n}), Call("answer", {"value": Previous()})]


def answered(answer: object, *made: tuple[str, Result]) -> Chain:
    step = Step(calls=tuple(Call(name) for name, _ in made), results=tuple(r for _, r in made))
    return Chain(Problem("?", 72), steps=(step,), stop="answer", answer=answer)


def judge(chain: Chain) -> Verdict:
    return Sums().judge(chain.problem, chain)


# ---- judging ------------------------------------------------------------------------------------


def test_an_answer_that_a_call_gave_is_grounded() -> None:
    assert judge(answered("72 clips", ("add", Result(72)))) == Verdict(True, 1.0, "", True)


@pytest.mark.parametrize(
    "made",
    [
        ("add", Result(71)),
        ("add", Result(fault=Fault("timeout", "too slow"))),
        ("answer", Result(72)),
        ("reasoning", Result("72")),
    ],
)
def test_an_answer_that_no_call_gave_is_a_guess(made: tuple[str, Result]) -> None:
    verdict = judge(answered(72, made))
    assert verdict.correct
    assert not verdict.grounded


def test_a_wrong_answer_says_why() -> None:
    assert judge(answered(71)) == Verdict(False, 0.0, "answered 71, not 72")
    late = judge(answered(71, ("add", Result(72)), ("add", Result(71))))
    assert late.reason == "answered 71, not 72, which an earlier call gave"
    assert late.grounded


def test_a_chain_that_did_not_answer_is_never_correct() -> None:
    stopped = Chain(Problem("?", None), stop="steps")
    assert judge(stopped).reason == "no answer: stopped at the step limit"
    assert not judge(Chain(Problem("?", 72), stop="steps", answer=72)).correct


def test_a_task_asks_for_what_its_verifier_reads() -> None:
    class Truths(BaseTask):
        name = "truths"
        verifier = LabelVerifier(["True", "False"])

    class Odd(Truths):
        answer = LabelVerifier(["yes", "no"]).answer

    assert Truths.answer == {"enum": ["True", "False"]}
    assert Odd.answer == {"enum": ["yes", "no"]}
    assert isinstance(Sums(), Task)


# ---- problems of a split ------------------------------------------------------------------------


def test_problems_come_once_and_in_order_unless_a_seed_is_given() -> None:
    class Doubled(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            for problem in super().problems(split):
                yield from (problem, Problem(problem.question.upper(), 0))

    assert [p.gold for p in problems_of(Doubled(), "train")] == [0, 2, 4, 6, 8]
    assert [p.gold for p in problems_of(Doubled(), "train", limit=2)] == [0, 2]
    drawn = problems_of(Doubled(), "train", seed=1)
    assert drawn == problems_of(Doubled(), "train", seed=1)
    assert drawn[:3] == problems_of(Doubled(), "train", limit=3, seed=1)
    assert any(drawn != problems_of(Doubled(), "train", seed=seed) for seed in range(2, 5))


def test_more_problems_leave_the_drawn_order_of_the_others_alone() -> None:
    class Growing(Sums):
        def __init__(self, size: int) -> None:
            self.size = size

        def problems(self, split: str) -> Iterator[Problem]:
            yield from (Problem(str(n), n) for n in range(self.size))

    few = problems_of(Growing(10), "train", seed=3)
    many = problems_of(Growing(30), "train", seed=3)
    assert [problem for problem in many if problem in few] == few


def test_a_limit_does_not_wait_for_a_task_without_end() -> None:
    class Endless(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            return (Problem(str(n), n) for n in itertools.count())

    assert len(problems_of(Endless(), "train", limit=7)) == 7


def test_a_split_that_is_missing_or_empty_is_named() -> None:
    with pytest.raises(DataError, match=r"no split 'tets': did you mean test\? It has train, test"):
        problems_of(Sums(), "tets")
    with pytest.raises(DataError, match="no split 'zzz': it has train, test"):
        problems_of(Sums(), "zzz")

    class Empty(Sums):
        def problems(self, split: str) -> Iterator[Problem]:
            return iter(())

    with pytest.raises(DataError, match="split 'train' of task sums is empty"):
        problems_of(Empty(), "train")


# ---- tasks from a file --------------------------------------------------------------------------


def write(path: Path, *rows: object) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_problems_by_split(tmp_path: Path) -> None:
    path = write(
        tmp_path / "shop.jsonl",
        {"question": "2 + 2?", "answer": "4", "hops": 1, "id": 7},
        "",
        {"question": "How many?", "answer": "1,234", "context": "In stock.", "split": "test"},
    )
    task = JsonlTask(path, functions=["math.*"])
    assert (task.name, task.splits, task.functions) == ("shop", ("train", "test"), ("math.*",))
    (first,) = task.problems("train")
    assert first == Problem("2 + 2?", "4", id="7", meta={"hops": 1})
    (second,) = task.problems("test")
    assert second.context == "In stock."
    assert task.judge(second, Chain(second, stop="answer", answer=1234)).correct


@pytest.mark.parametrize(
    ("kind", "gold", "right", "wrong"),
    [
        ("number", "3/4", 0.75, 0.76),
        ("label", "yes", "Yes.", "no"),
        ("text", "Paris", " paris", "London"),
        ("set", ["a", "b"], ["b", "a"], ["a"]),
        ("json", {"a": [1, 2]}, {"a": [1, 2]}, {"a": [2, 1]}),
    ],
)
def test_answers_are_compared_as_the_task_says(tmp_path, kind, gold, right, wrong) -> None:
    rows = [{"question": "?", "answer": gold}, {"question": "??", "answer": gold}]
    task = JsonlTask(write(tmp_path / "t.jsonl", *rows), kind, labels=["yes", "no"])
    problem = next(iter(task.problems("train")))
    assert task.judge(problem, Chain(problem, stop="answer", answer=right)).correct
    assert not task.judge(problem, Chain(problem, stop="answer", answer=wrong)).correct


def test_labels_are_those_of_the_file_unless_given(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": a} for q, a in (("1?", "no"), ("2?", "yes"), ("3?", "no"))]
    assert JsonlTask(write(tmp_path / "t.jsonl", *rows), "label").answer == {"enum": ["no", "yes"]}
    with pytest.raises(DataError, match="line 1: the answer can't be used: 'no' is none of a, b"):
        JsonlTask(tmp_path / "t.jsonl", "label", labels=["a", "b"])


GOOD = {"question": "2 + 2?", "answer": 4}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"question": "2 + 2?", "ans', "line 2: the line is no JSON"),
        ("[" * 100_000, "line 2: the line is no JSON"),
        ("[1, 2]", "line 2: the line is no JSON object"),
        ({"question": "2 + 2?"}, "line 2: the problem has no 'answer'"),
        ({"question": "2 + 2?", "answer": None}, "line 2: the problem has no 'answer'"),
        ({"question": "2 + 2?", "answer": ""}, "line 2: the problem has no 'answer'"),
        ({"question": " ", "answer": 4}, "line 2: the row has no 'question'"),
        ({"answer": 4}, "line 2: the row has no 'question'"),
        ({"question": ["2 + 2?"], "answer": 4}, "line 2: 'question' is"),
        ({"question": "2 + 2?", "answer": 4, "split": 3}, "line 2: 'split' is 3"),
        ({"question": "2 + 2?", "answer": "4 or 5"}, "line 2: the answer can't be used"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, row, message) -> None:
    path = write(tmp_path / "bad.jsonl", GOOD, row)
    with pytest.raises(DataError) as caught:
        JsonlTask(path)
    assert f"{path}, {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        JsonlTask(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DataError, match="not UTF-8"):
        list(read_jsonl(tmp_path / "binary.jsonl"))
    with pytest.raises(DataError, match="is empty"):
        JsonlTask(write(tmp_path / "empty.jsonl"))
    with pytest.raises(DataError, match="can't be compared as 'float'"):
        JsonlTask(write(tmp_path / "good.jsonl", GOOD), "float")  # type: ignore[arg-type]
