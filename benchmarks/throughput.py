"""How near a rollout comes to a bare loop of requests: 64 chains in flight against a local server.

The server speaks OpenAI's API and answers each turn after 50 ms. The bare loop posts with aiohttp
and does nothing with the answers. The rollout is all of callsmith: turns read, arguments validated,
functions called, every chain judged and recorded in SQLite. Each round is a process of its own,
rounds are interleaved, medians shown. The start of a run (plugins, the server's list of models) is
not counted, nor is the bare loop's.

    python benchmarks/throughput.py [--chains 200] [--rounds 7]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.chats import FUNCTIONS, IN_FLIGHT, PROBLEM, SYSTEM, bare_aiohttp, repeat
from shared.meters import Meter
from shared.server import CALLS, LATENCY, local_server

SIDES = ("bare aiohttp", "callsmith")
RATE = 0.9
"""Of the bare loop's chains per second."""
CPU = 0.45
"""Milliseconds per request."""
MEMORY = 80
"""MB."""


def rollout(url: str, chains: int) -> dict[str, float]:
    from shared.rollouts import roll_out

    import callsmith_openai.backend  # noqa: F401  (imports are nobody's requests)
    from callsmith import Problem
    from callsmith.tasks import BaseTask

    class Boxes(BaseTask):
        name = "boxes"
        instructions = SYSTEM
        functions = FUNCTIONS
        answer = {"type": "number"}  # noqa: RUF012

    with tempfile.TemporaryDirectory() as home:
        return roll_out(
            Path(home),
            [Problem(f"{PROBLEM} ({n})", 1) for n in range(chains)],
            Boxes(),
            f"openai:stub@{url}",
            dialect="native",
            temperature=0.7,
            concurrency=IN_FLIGHT,
        )


def measure(side: str, url: str, chains: int) -> dict[str, float]:
    if side == "callsmith":
        return rollout(url, chains)
    meter = Meter()
    asyncio.run(bare_aiohttp(url, repeat(chains, meter)))
    return meter.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.url, arguments.chains)))
        return

    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with local_server() as url:
        here = [sys.executable, __file__, "--url", url, "--chains", str(arguments.chains)]
        for _ in range(arguments.rounds):
            for side in SIDES:
                done = subprocess.run([*here, "--side", side], check=True, capture_output=True)
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
    requests = arguments.chains * (CALLS + 1)
    shown = {}
    for side, rounds in found.items():
        shown[side] = {
            "chains/s": arguments.chains / statistics.median(one["seconds"] for one in rounds),
            "CPU ms/request": 1000 * statistics.median(one["cpu"] for one in rounds) / requests,
            "peak MB": statistics.median(one["memory"] for one in rounds),
        }
    if arguments.json:
        print(json.dumps(shown))
        return

    from rich.console import Console
    from rich.table import Table

    console = Console()
    ceiling = IN_FLIGHT / (LATENCY * (CALLS + 1))
    title = (
        f"{arguments.chains} chains of {CALLS} calls, {IN_FLIGHT} in flight: "
        f"at most {ceiling:.0f} chains/s"
    )
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("loop")
    for column in ("chains/s", "of bare", "CPU ms/request", "peak MB"):
        table.add_column(column, justify="right")
    bare, ours = shown["bare aiohttp"], shown["callsmith"]
    for side, facts in shown.items():
        table.add_row(
            side,
            f"{facts['chains/s']:.0f}",
            f"{facts['chains/s'] / bare['chains/s']:.2f}",
            f"{facts['CPU ms/request']:.2f}",
            f"{facts['peak MB']:.0f}",
        )
    console.print(table)
    rate, cpu = ours["chains/s"] / bare["chains/s"], ours["CPU ms/request"]
    memory = ours["peak MB"]
    for what, reached in (
        (f"of bare aiohttp's chains/s: {rate:.2f} (at least {RATE}", rate >= RATE),
        (f"CPU ms per request: {cpu:.2f} (at most {CPU}", cpu <= CPU),
        (f"peak MB: {memory:.0f} (at most {MEMORY}", memory <= MEMORY),
    ):
        verdict = "[green]reached[/]" if reached else "[red]not reached[/]"
        console.print(f"{what}: {verdict})", highlight=False)


if __name__ == "__main__":
    main()
