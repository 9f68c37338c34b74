"""Chains with their verdicts as files for other tools: JSONL, Parquet, a Hugging Face dataset.

A file appears whole or not at all. In the tables of Parquet and datasets a chain is one row, its
steps a list; values of any shape (arguments, results, answers) are JSON, the datasets library's
``Json()`` feature: Arrow's own structs would give every call the arguments of all others as nulls.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain as joined
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from callsmith.chain import JSON, Chain, Step, Verdict, dump
from callsmith.errors import DataError, PluginError

if TYPE_CHECKING:
    import pyarrow

Records: TypeAlias = Iterable[tuple[Chain, Verdict]]

Format: TypeAlias = Literal["jsonl", "parquet", "dataset"]

ROWS = 1000
"""Rows that a table is written by: all that is in memory."""


def export(records: Records, path: Path, format: Format = "jsonl") -> int:
    """Write records (as `Store.records` gives them) to a file, or a folder for ``dataset``.

    Returns how many. A file is replaced, a folder isn't. Raises DataError if it can't be written,
    PluginError if ``parquet`` or ``dataset`` needs what isn't installed.
    """
    if format not in get_args(Format):
        raise DataError(f"there is no export format {format!r}: jsonl, parquet or dataset")
    if path.is_dir():
        raise DataError(f"{path} exists already: export to another name")
    write = {"jsonl": _write_jsonl, "parquet": _write_parquet, "dataset": _write_dataset}[format]
    try:
        with _whole(path) as unfinished:
            return write(records, unfinished)
    except OSError as error:
        raise DataError(f"{path} can't be written: {error.strerror or error}") from error
    except ImportError as error:
        raise PluginError(
            f"exporting as {format} needs {error.name}: pip install 'callsmith[export]'"
        ) from error


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        unfinished = Path(folder) / path.name
        yield unfinished
        unfinished.replace(path)


def _write_jsonl(records: Records, path: Path) -> int:
    """A line is the chain's JSON, which `load_chain` reads, with its key and verdict added."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for chain, verdict in records:
            more = f'"key":"{chain.problem.key}","verdict":{dump(verdict)}'
            file.write(f"{dump(chain)[:-1]},{more}}}\n")
            count += 1
    return count


def _write_parquet(records: Records, path: Path) -> int:
    import pyarrow.parquet

    tables = _tables(records)
    first = next(tables)
    count = 0
    with pyarrow.parquet.ParquetWriter(path, first.schema) as file:
        for table in joined([first], tables):
            file.write_table(table)
            count += table.num_rows
    return count


def _write_dataset(records: Records, path: Path) -> int:
    import datasets
    import pyarrow

    arrow = path.with_suffix(".arrow")
    tables = _tables(records)
    first = next(tables)
    with pyarrow.ipc.new_stream(arrow, first.schema) as file:
        for table in joined([first], tables):
            file.write_table(table)
    dataset = datasets.Dataset.from_file(str(arrow))
    dataset.save_to_disk(path)
    return len(dataset)


def _tables(records: Records) -> Iterator[pyarrow.Table]:
    """At least one table, if an empty one, so that a file always has its columns."""
    import pyarrow
    from datasets import Json, Value

    # Arrow makes nested JSON columns only from text; the cast marks them as JSON.
    written, meant = _features(Value("string")).arrow_schema, _features(Json()).arrow_schema
    rows = (_row(chain, verdict) for chain, verdict in records)
    batch = list(islice(rows, ROWS))
    while True:
        yield pyarrow.Table.from_pylist(batch, schema=written).cast(meant)
        if not (batch := list(islice(rows, ROWS))):
            return


def _features(any_json: Any) -> Any:
    from datasets import Features, List, Value

    text, number, integer, truth = map(Value, ("string", "float64", "int64", "bool"))
    fault = {"kind": text, "message": text}
    call = {"name": text, "arguments": any_json, "id": text}
    result = {"value": any_json, "fault": fault, "note": text}
    step = {
        "text": text,
        "calls": List(call),
        "results": List(result),
        "fault": fault,
        "prompt_tokens": integer,
        "completion_tokens": integer,
        "seconds": number,
    }
    return Features(
        run=text,
        task=text,
        split=text,
        model=text,
        dialect=text,
        key=text,
        id=text,
        context=text,
        question=text,
        gold=any_json,
        meta=any_json,
        attempt=integer,
        seed=integer,
        steps=List(step),
        stop=text,
        note=text,
        answer=any_json,
        correct=truth,
        score=number,
        grounded=truth,
        reason=text,
        seconds=number,
    )


def _row(chain: Chain, verdict: Verdict) -> dict[str, JSON]:
    problem, setup = chain.problem, chain.setup
    return {
        "run": chain.run,
        "task": setup.task,
        "split": setup.split,
        "model": setup.model,
        "dialect": setup.dialect,
        "key": problem.key,
        "id": problem.id,
        "context": problem.context,
        "question": problem.question,
        "gold": json.dumps(problem.gold),
        "meta": json.dumps(problem.meta),
        "attempt": chain.attempt,
        "seed": chain.seed,
        "steps": [_step(step) for step in chain.steps],
        "stop": chain.stop,
        "note": chain.note,
        "answer": json.dumps(chain.answer),
        "correct": verdict.correct,
        "score": verdict.score,
        "grounded": verdict.grounded,
        "reason": verdict.reason,
        "seconds": chain.seconds,
    }


def _step(step: Step) -> dict[str, JSON]:
    faults = [
        {"kind": fault.kind, "message": fault.message} if fault else None
        for fault in (step.fault, *(result.fault for result in step.results))
    ]
    return {
        "text": step.text,
        "calls": [
            {"name": call.name, "arguments": json.dumps(call.arguments), "id": call.id}
            for call in step.calls
        ],
        "results": [
            {"value": json.dumps(result.value), "fault": fault, "note": result.note}
            for result, fault in zip(step.results, faults[1:], strict=True)
        ],
        "fault": faults[0],
        "prompt_tokens": step.usage.prompt,
        "completion_tokens": step.usage.completion,
        "seconds": step.seconds,
    }
