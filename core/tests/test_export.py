from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from callsmith.chain import (
    Call,
    Chain,
    Fault,
    Problem,
    Result,
    Setup,
    Step,
    Usage,
    Verdict,
    load_chain,
)
from callsmith.errors import DataError, StoreError
from callsmith.export import export

Record = tuple[Chain, Verdict]


def record(number: int, arguments: dict[str, object], answer: object) -> Record:
    step = Step(
        "two calls",
        (Call("first", arguments, id="c1"), Call("second", {"only": {"here": [None]}})),
        (Result(answer), Result(fault=Fault("timeout", "too long"), note="slow")),
        usage=Usage(7, 3),
        seconds=0.5,
    )
    setup = Setup("tiny:teacher", "sums", "train", "native")
    problem = Problem(f"question {number}", gold=answer, context="given", meta={"hops": number})
    chain = Chain(problem, setup, (step, Step("quiet")), "steps", answer, "r", number, 11)
    return chain, Verdict(number % 2 == 0, 0.5, "because", grounded=True)


# What Arrow would bend: keys that differ, text that looks like numbers, mixed types, nulls.
RECORDS = [
    record(0, {"a": 1}, "5"),
    record(1, {"b": "2", "c": None}, 5),
    record(2, {}, None),
    record(3, {"deep": {"x": [1, "y", {"z": 2.5}]}}, [1, "é"]),
]


def test_a_line_of_jsonl_is_the_chain_with_its_verdict(tmp_path: Path) -> None:
    path = tmp_path / "new" / "chains.jsonl"
    assert export(RECORDS, path) == 4
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [load_chain(line) for line in lines] == [chain for chain, _ in RECORDS]
    first = json.loads(lines[0])
    assert first["key"] == RECORDS[0][0].problem.key
    assert first["verdict"] == {
        "correct": True, "score": 0.5, "reason": "because", "grounded": True,
    }  # fmt: skip


@pytest.mark.parametrize("format", ["parquet", "dataset"])
def test_argument_objects_keep_their_keys(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("callsmith.export.ROWS", 3)
    path = tmp_path / "chains"
    assert export(RECORDS, path, format) == 4  # type: ignore[arg-type]
    if format == "parquet":
        rows = datasets.load_dataset(
            "parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train"
        )
    else:
        rows = datasets.load_from_disk(str(path))
    for row, (chain, verdict) in zip(rows, RECORDS, strict=True):
        step = row["steps"][0]
        assert [call["arguments"] for call in step["calls"]] == [c.arguments for c in chain.calls]
        assert [type(call["arguments"]) for call in step["calls"]] == [dict, dict]
        assert [result["value"] for result in step["results"]] == [chain.answer, None]
        assert step["results"][0]["fault"] is None
        assert step["results"][1]["fault"] == {"kind": "timeout", "message": "too long"}
        assert (row["answer"], type(row["answer"])) == (chain.answer, type(chain.answer))
        assert (row["gold"], row["meta"]) == (chain.problem.gold, {"hops": row["attempt"]})
        assert (row["key"], row["model"]) == (chain.problem.key, "tiny:teacher")
        assert (row["correct"], row["stop"]) == (verdict.correct, "steps")
        assert row["steps"][1]["calls"] == []


def test_no_chains_give_an_empty_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export([], tmp_path / "none.parquet", "parquet") == 0
    assert "steps" in parquet.read_schema(tmp_path / "none.parquet").names


def test_an_export_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[Record]:
        yield RECORDS[0]
        raise StoreError("gone")

    path = tmp_path / "chains.jsonl"
    path.write_text("before")
    with pytest.raises(StoreError, match="gone"):
        export(broken(), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be written: "):
        export(RECORDS, tmp_path / "file" / "chains.jsonl")
    with pytest.raises(DataError, match="exists already"):
        export(RECORDS, tmp_path, "dataset")
    with pytest.raises(DataError, match="no export format 'csv'"):
        export(RECORDS, tmp_path / "x", "csv")  # type: ignore[arg-type]
