"""The same seed, the same chains: byte by byte, times aside, however they are made.

One chain at a time is held against 64 in flight, against a run that was cut off with SIGKILL and
gone on with, and against other executors (``--executor ray``). Models: reference chains, and the
sampled tiny student, whose numbers depend on the batch in the last digits.

    python benchmarks/determinism.py [--problems 100] [--executor NAME ...]
"""

from __future__ import annotations

import argparse
import pickle
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from callsmith.chain import Chain, dump
from callsmith.configs import RolloutConfig
from callsmith.workspace import Workspace

MODELS: dict[str, dict[str, Any]] = {
    "reference": {},
    "tiny:student": {"temperature": 1.0, "max_tokens": 48},
}
ATTEMPTS = 2


def bare(chain: Chain) -> str:
    """The chain as JSON, without what was measured: times, and tokens read from a cache."""
    steps = tuple(
        replace(
            step,
            seconds=0.0,
            usage=replace(step.usage, cached=0),
            results=tuple(replace(result, seconds=0.0) for result in step.results),
        )
        for step in chain.steps
    )
    return dump(replace(chain, steps=steps, seconds=0.0, started=""))


def make(config: RolloutConfig, home: Path) -> list[str]:
    """The chains of a run that goes on until it is complete."""
    workspace = Workspace(home)
    report = workspace.teach(config)
    with workspace.store() as store:
        return [bare(chain) for chain, _ in store.records(report.run)]


def cut_off(config: RolloutConfig, home: Path, chains: int) -> int:
    """Start the run in a process, kill it after so many chains; gives how many it recorded."""
    code = (
        "import sys, pickle; from callsmith.workspace import Workspace; "
        f"Workspace({str(home)!r}).teach(pickle.load(sys.stdin.buffer))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(pickle.dumps(config))
    process.stdin.close()
    while process.poll() is None and count(home) < chains:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return count(home)


def count(home: Path) -> int:
    try:
        with sqlite3.connect(f"file:{home}/callsmith.db?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM chains").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def differences(model: str, problems: int, executors: list[str]) -> dict[str, int]:
    """How many chains differ from those made one at a time, by how the others were made."""
    one = RolloutConfig(
        task="wordproblems", model=model, limit=problems, attempts=ATTEMPTS, seed=7, concurrency=1,
        **MODELS[model],
    )  # fmt: skip
    many = replace(one, concurrency=64)
    with folder() as home:
        expected = make(one, home)
    assert len(expected) == problems * ATTEMPTS
    found = {}
    with folder() as home:
        found["64 in flight"] = make(many, home)
    with folder() as home:
        before = cut_off(many, home, len(expected) // 3)
        found[f"cut off after {before} of {len(expected)}"] = make(many, home)
    for name in executors:
        with folder() as home:
            found[f"executor {name}"] = make(replace(many, executor=name), home)
    return {
        how: sum(a != b for a, b in zip(expected, made, strict=True)) for how, made in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--executor", action="append", default=[])
    arguments = parser.parse_args()
    wrong = 0
    for model in MODELS:
        for how, differ in differences(model, arguments.problems, arguments.executor).items():
            print(f"{model:<14} {how:<28} {differ} of {arguments.problems * ATTEMPTS} differ")
            wrong += differ
    if wrong:
        sys.exit("chains differ")


if __name__ == "__main__":
    main()
