"""A store with a million chains: writing them, what is owed, `runs`, `show`, building pairs.

Chains are of GSM8K's kind: a question of 250 characters, five calls with words and an answer; four
attempts at each problem, half of them right, no two alike. Each part is a process of its own, of
which the CPU and the peak memory are shown. Takes some GB of disk, given back in the end.

    python benchmarks/store_scale.py [--chains 1000000] [--home FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ATTEMPTS = 4
BATCH = 64
"""Chains in a commit, as in a rollout."""

WRITTEN = 2000
"""Chains per second of CPU to be written, at least."""
OWED = 2.0
"""Seconds of CPU after which it is to be known what a run owes."""
MEMORY = 500
"""MB that any part may take."""

QUESTION = (
    "A baker fills {n} boxes with eggs in the morning and twice as many in the afternoon. Each box "
    "holds 6 eggs, and every egg costs him 12 cents. He sells all boxes of a day for 3 dollars "
    "each. What is his profit in dollars on day {n}, if nothing breaks?"
)


def problems(chains: int) -> Iterator[Any]:
    from callsmith import Problem

    return (Problem(QUESTION.format(n=n), gold=n, id=str(n)) for n in range(-(-chains // ATTEMPTS)))


def records(chains: int) -> Iterator[Any]:
    """As a rollout makes them: first attempts first."""
    from callsmith import Chain, Verdict
    from callsmith.chain import Call, Result, Sampling, Setup, Step, Usage

    sampling = Sampling(temperature=0.7)
    versions = {"callsmith": "0.1.0", "callsmith-math": "0.1.0"}
    setup = Setup("openai:stub", "boxes", "train", "native", sampling, plugins=versions)
    for attempt in range(ATTEMPTS):
        for n, problem in enumerate(problems(chains)):
            if attempt * -(-chains // ATTEMPTS) + n >= chains:
                return
            right = (n + attempt) % 2 == 0
            steps = [
                Step(
                    f"Next I multiply what {i + n} boxes hold, with a margin of {attempt}.",
                    (Call("multiply", {"a": n + i, "b": attempt + 1}, f"call_{n}_{i}"),),
                    (Result((n + i) * (attempt + 1), seconds=0.0001),),
                    finish="tool_calls",
                    usage=Usage(300 + 40 * i, 30),
                    seconds=0.61,
                    model="stub",
                )
                for i in range(5)
            ]
            value = n if right else n + 1
            answer = Step("", (Call("answer", {"value": value}, "call_end"),), (Result(value),))
            chain = Chain(
                problem, setup, (*steps, answer), "answer", value, "boxes", attempt, n,
                "2026-01-01T00:00:00+00:00", 3.7,
            )  # fmt: skip
            yield chain, Verdict(right, float(right), "" if right else "no", grounded=True)


def write(home: Path, chains: int) -> None:
    """Record them all. Prints what that took, the making of the chains left out."""
    from callsmith.store import Store

    wall = cpu = 0.0
    with Store(home) as store:
        run = begin(store)
        made = records(chains)
        while batch := list(islice(made, BATCH)):
            began, used = time.perf_counter(), time.process_time()
            store.add(run, batch)
            wall += time.perf_counter() - began
            cpu += time.process_time() - used
    print(json.dumps({"wall": wall, "cpu": cpu}))


def begin(store: Any) -> Any:
    return store.begin("boxes", {"task": "boxes"}, {"purpose": "teach"}, {}, {})


def owed(home: Path, chains: int) -> None:
    """What is owed if nothing is, and if one more attempt is wanted of each problem."""
    from callsmith.store import Store

    wanted = list(problems(chains))
    with Store(home) as store:
        run = begin(store)
        for attempts, owing in ((ATTEMPTS, 0), (ATTEMPTS + 1, len(wanted))):
            began, used = time.perf_counter(), time.process_time()
            found = store.owed(run, wanted, attempts)
            wall, cpu = time.perf_counter() - began, time.process_time() - used
            assert len(found) >= owing
            print(json.dumps({"wall": wall, "cpu": cpu}))


def run_part(command: list[Any]) -> tuple[dict[str, float], str]:
    """Run it to its end; gives seconds, CPU seconds and peak MB, and what it printed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([*map(str, command)], stdout=printed)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        assert process.returncode == 0, command
        printed.seek(0)
        facts = {
            "wall": wall,
            "cpu": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss / 1024,
        }
        return facts, printed.read()


def measure(home: Path, chains: int) -> dict[str, dict[str, float]]:
    """Seconds, CPU seconds and peak MB of each part."""
    found = {}
    for part in ("write", "owed"):
        command = [sys.executable, __file__, "--part", part, "--chains", chains, "--home", home]
        facts, printed = run_part(command)
        # Measured inside: making chains and problems is not the store's.
        for name, line in zip(
            (part, f"{part}, one attempt more"), printed.splitlines(), strict=False
        ):
            found[name] = facts | json.loads(line)
    for name, words in {
        "callsmith runs": ["runs"],
        "callsmith show RUN": ["show", "boxes", "--wrong"],
        "callsmith show RUN CHAIN": ["show", "boxes", key_of_first(), "--attempt", 1],
        "callsmith pairs": ["pairs", "all", "boxes"],
    }.items():
        found[name], _ = run_part([sys.executable, "-m", "callsmith", *words, "--home", home])
    return found


def key_of_first() -> str:
    return str(next(problems(1)).key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="a folder to make the store in, and to keep")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--part", choices=("write", "owed"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        return {"write": write, "owed": owed}[arguments.part](arguments.home, arguments.chains)

    home = arguments.home or Path(tempfile.mkdtemp(prefix="callsmith-"))
    try:
        found = measure(home, arguments.chains)
        size = sum(file.stat().st_size for file in home.iterdir()) / 2**30
    finally:
        if not arguments.home:
            shutil.rmtree(home)
    if arguments.json:
        print(json.dumps(found))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"{arguments.chains:,} chains; the store has {size:.1f} GB"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("part")
    for column in ("seconds", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for part, facts in found.items():
        row = f"{facts['wall']:,.1f}", f"{facts['cpu']:,.1f}", f"{facts['memory']:,.0f}"
        table.add_row(part, *row)
    console.print(table)
    written = arguments.chains / found["write"]["cpu"]
    checks = [
        ("chains written per second of CPU", written, written >= WRITTEN, f"at least {WRITTEN:,}")
    ]
    seconds = max(facts["cpu"] for part, facts in found.items() if part.startswith("owed"))
    checks.append(
        ("CPU seconds until it is known what is owed", seconds, seconds < OWED, f"under {OWED}")
    )
    most = max(facts["memory"] for part, facts in found.items())
    checks.append(("MB at the most", most, most < MEMORY, f"under {MEMORY}"))
    for what, value, reached, limit in checks:
        verdict = "[green]reached[/]" if reached else "[red]not reached[/]"
        console.print(f"{what}: {value:,.1f} ({limit}: {verdict})", highlight=False)


if __name__ == "__main__":
    main()
