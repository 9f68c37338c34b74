"""What a step costs beside the model: callsmith's loop, a bare hand-written one, other tools'.

The model is scripted and answers at once. A step is its turn, the call's arguments held against
their JSON Schema, the call, and the messages for the next turn; in the end the chain stands in
SQLite with all its steps. The bare loop does just that. callsmith does it as a rollout does: read,
judged, limits looked at, faults and time-outs ready. CPU time, sides interleaved, the least of
the rounds.

    python benchmarks/loop_overhead.py [--rounds 9] [--no-peers]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

LENGTHS = (10, 50, 200)
STEPS = 4000
"""Steps in one round, whatever the chains' length."""

MOST = 2.0
"""Times a bare loop's CPU that a step may cost."""
FLAT = 1.25
"""Times its CPU in chains of 10 steps that a step may cost in chains of 200."""

SYSTEM = "Solve the problem by calling functions, one step at a time. End with a call of answer."
NUMBER = {"type": "number"}


def schema(*names: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict.fromkeys(names, NUMBER),
        "required": list(names),
        "additionalProperties": False,
    }


def calls(steps: int) -> list[tuple[str, dict[str, float]]]:
    """What the model calls: other numbers in each turn, then the answer, the last one's result."""
    added = [("add", {"a": turn, "b": 1}) for turn in range(steps - 1)]
    return [*added, ("answer", {"value": steps - 1})]


def bare(steps: int, chains: int, folder: Path) -> float:
    """CPU seconds of a loop as one writes it by hand."""
    from jsonschema import Draft202012Validator

    validators = {
        "add": Draft202012Validator(schema("a", "b")),
        "answer": Draft202012Validator(schema("value")),
    }
    functions: dict[str, Any] = {"add": lambda a, b: a + b, "answer": lambda value: value}
    turns = calls(steps)
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE chains (problem TEXT PRIMARY KEY, correct INTEGER, document TEXT)")

    async def model(messages: list[Any]) -> tuple[str, dict[str, float]]:
        return turns[len(messages) // 2 - 1]

    async def chain(question: str) -> tuple[str, bool, str]:
        messages: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question},
        ]
        record: list[Any] = []
        value: Any = None
        for turn in range(steps):
            began = time.perf_counter()
            name, arguments = await model(messages)
            wrong = next(validators[name].iter_errors(arguments), None)
            value = wrong.message if wrong else functions[name](**arguments)
            call = {"name": name, "arguments": arguments}
            id = f"c{turn:08}"
            called = {"id": id, "type": "function", "function": call}
            messages += [
                {"role": "assistant", "content": "", "tool_calls": [called]},
                {"role": "tool", "tool_call_id": id, "name": name, "content": json.dumps(value)},
            ]
            seconds = time.perf_counter() - began
            record.append({"calls": [call], "results": [{"value": value}], "seconds": seconds})
        document = {"question": question, "steps": record, "answer": value}
        return question, value == steps - 1, json.dumps(document)

    def commit(rows: list[Any]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO chains VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        rows.clear()

    async def run() -> None:
        rows: list[Any] = []
        for number in range(chains):
            rows.append(await chain(f"What is {number}?"))
            if len(rows) == 64:
                commit(rows)
        commit(rows)
        db.close()

    began = time.process_time()
    asyncio.run(run())
    return time.process_time() - began


def callsmith(steps: int, chains: int, folder: Path, dialect: Any = "native") -> float:
    """CPU seconds of a rollout."""
    from shared.rollouts import roll_out

    from callsmith import Function, Problem
    from callsmith.backends import Capabilities, Completion, Request
    from callsmith.chain import Call
    from callsmith.functions import format_call
    from callsmith.tasks import BaseTask

    made = [Call(name, arguments) for name, arguments in calls(steps)]
    turns = [
        Completion(calls=(call,)) if dialect == "native" else Completion(format_call(call))
        for call in made
    ]

    class Instant:
        name = "instant"
        capabilities = Capabilities()

        async def prepare(self) -> None: ...
        async def close(self) -> None: ...
        async def complete(self, request: Request) -> Completion:
            return turns[len(request.steps)]

    class Sums(BaseTask):
        name = "sums"
        instructions = SYSTEM
        functions = (Function("add", "Add.", schema("a", "b"), lambda a, b: a + b, inline=True),)
        answer = NUMBER

    problems = [Problem(f"What is {n}?", gold=steps - 1) for n in range(chains)]
    limits = {"steps": steps, "calls": steps}
    used = roll_out(folder, problems, Sums(), Instant(), dialect=dialect, **limits)
    return used["cpu"]


SIDES: dict[str, Any] = {
    "bare loop": bare,
    "callsmith": callsmith,
    "callsmith, calls as text": lambda *work: callsmith(*work, dialect="text"),
}


def measure(rounds: int) -> dict[str, dict[int, float]]:
    """CPU microseconds per step, by side and chains' length."""
    found: dict[str, dict[int, float]] = {side: {} for side in SIDES}
    for steps in [LENGTHS[0], *LENGTHS * rounds]:  # the first round is for imports
        for side, run in SIDES.items():
            with tempfile.TemporaryDirectory() as folder:
                took = 1e6 * run(steps, STEPS // steps, Path(folder)) / STEPS
            found[side][steps] = min(took, found[side].get(steps, took))
    return found


def measure_peers(rounds: int) -> tuple[dict[str, dict[int, float]], dict[str, str]]:
    """The same of other tools, and which are missing and why."""
    from shared import peers

    missing = peers.install()
    script = Path(peers.__file__).with_name("peer_loops.py")
    found: dict[str, dict[int, float]] = {}
    for name in ("microchain", "llm", "langgraph"):
        if name in {package.removesuffix("-python") for package in missing}:
            continue
        for steps in LENGTHS:
            command = [peers.PYTHON, script, name, str(steps), str(400 // steps)]
            for _ in range(rounds):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    missing[name] = done.stderr.strip().splitlines()[-1]
                    break
                took = float(done.stdout)
                least = found.setdefault(name, {})
                least[steps] = min(took, least.get(steps, took))
    return found, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-peers", action="store_true", help="callsmith and the bare loop alone")
    parser.add_argument("--json", action="store_true", help="print the microseconds as JSON")
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    missing: dict[str, str] = {}
    if not arguments.no_peers:
        others, missing = measure_peers(2)
        found |= others
    if arguments.json:
        print(json.dumps(found))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="CPU µs per step", title_justify="left", box=None)
    table.add_column("loop")
    for steps in LENGTHS:
        table.add_column(f"{steps} steps", justify="right")
        table.add_column("× bare", justify="right")
    for side, took in found.items():
        cells = []
        for steps in LENGTHS:
            ratio = took[steps] / found["bare loop"][steps]
            cells += [f"{took[steps]:,.1f}", f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"]
        table.add_row(side, *cells)
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name} skipped: {why}", style="yellow", markup=False)
    ours, theirs = found["callsmith"], found["bare loop"]
    worst = max(ours[steps] / theirs[steps] for steps in LENGTHS)
    growth = ours[LENGTHS[-1]] / ours[LENGTHS[0]]
    for what, ratio, most in (
        ("callsmith / bare loop", worst, MOST),
        (f"{LENGTHS[-1]} steps / {LENGTHS[0]} steps", growth, FLAT),
    ):
        verdict = "[green]reached[/]" if ratio <= most else "[red]not reached[/]"
        console.print(f"{what}: {ratio:.2f} (at most {most}: {verdict})")


if __name__ == "__main__":
    main()
