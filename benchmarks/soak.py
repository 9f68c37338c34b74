"""A long run in one process: memory, tasks, sockets and processes at its beginning and its end.

20,000 chains of three turns through the real engine: a real HTTP server, arguments validated, one
call in sixty in a worker process, everything recorded. Memory is looked at after every commit;
it must not grow with the chains, and nothing may be left open in the end.

    python benchmarks/soak.py [--chains 20000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.arithmetic_server import ArithmeticServer

from callsmith.configs import RolloutConfig
from callsmith.patience import Tally
from callsmith.workspace import Workspace

MOST_GROWTH = 0.05
"""Of the memory in the second fifth, by which the last fifth may be larger."""


@dataclass
class Soaked:
    """``memory`` in MB, over the second and the last fifth; what was left open in the end."""

    chains: int
    seconds: float
    memory: tuple[float, float]
    peak: float
    most_tasks: int
    left_open: list[str]


def soak(chains: int) -> Soaked:
    server = ArithmeticServer()
    before = open_now()
    seen: list[tuple[int, float]] = []
    most_tasks = 0

    def look(tally: Tally, batch: Sequence[Any]) -> None:
        nonlocal most_tasks
        seen.append((tally.done, memory()))
        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
        if sys.stderr.isatty():
            print(f"\r{tally.done:,} chains, {seen[-1][1]:.1f} MB", end=" ", file=sys.stderr)

    try:
        with tempfile.TemporaryDirectory() as home:
            config = RolloutConfig(
                task="wordproblems",
                functions=("math.add", "math.solve"),
                shots=0,
                model=server.model,
                limit=chains // 4,
                attempts=4,
                temperature=1.0,
                concurrency=64,
            )
            began = time.perf_counter()
            report = Workspace(home).teach(config, look)
            seconds = time.perf_counter() - began
            assert report.tally.done == chains, report.tally
        left = sorted(open_now() - before)
    finally:
        server.kill()
    fifths = [
        statistics.median(mb for done, mb in seen if low * chains < done <= high * chains)
        for low, high in ((0.2, 0.4), (0.8, 1.0))
    ]
    peak = max(mb for _, mb in seen)
    return Soaked(chains, seconds, (fifths[0], fifths[1]), peak, most_tasks, left)


def memory() -> float:
    """Of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_now() -> set[str]:
    """This process's files and sockets, its children, its threads."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"open: {entry.readlink()}")
        except OSError:
            continue  # it was the one that the folder itself was read by
    for task in Path("/proc/self/task").iterdir():
        found.add(f"thread {task.name}")
        found |= {f"process {child}" for child in (task / "children").read_text().split()}
    return {one for one in found if "/proc/" not in one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", type=int, default=20_000)
    found = soak(parser.parse_args().chains)
    early, late = found.memory
    print(
        f"\n{found.chains:,} chains in {found.seconds:.0f} s "
        f"({found.chains / found.seconds:.0f} a second): memory {early:.1f} MB in the second "
        f"fifth, {late:.1f} MB in the last ({late / early - 1:+.1%}), at most {found.peak:.1f} MB; "
        f"at most {found.most_tasks} tasks; left open: {', '.join(found.left_open) or 'nothing'}"
    )
    if late > early * (1 + MOST_GROWTH) or found.left_open:
        sys.exit("it grows, or leaves something open")


if __name__ == "__main__":
    main()
