"""What a request to an OpenAI-compatible server costs: ours beside a bare loop and other clients.

Chains of five calls and an answer, 64 in flight, against one local server that answers each turn
after 50 ms, the same bodies and answers for every client. Each client runs in a process of its own;
rounds are interleaved, medians shown. What all of callsmith costs is `throughput.py`'s.

    python benchmarks/client_overhead.py [--chains 400] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from typing import Any

from shared.chats import IN_FLIGHT, SAMPLING, Repeat, answered, bare_aiohttp, begin, repeat, tools
from shared.meters import Meter
from shared.server import CALLS, LATENCY, local_server

CLIENTS = ("bare aiohttp", "callsmith", "httpx", "openai SDK")
LEAST = {"bare aiohttp": 0.85, "openai SDK": 4.0}
"""The chains per CPU second of callsmith's client, as multiples of theirs, that we hold it to."""

# ---- the clients --------------------------------------------------------------------------------


async def httpx_client(url: str, run: Repeat) -> None:
    import httpx

    offered = tools()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=600) as client:

        async def chain() -> None:
            messages = begin()
            for _ in range(CALLS + 1):
                body = {"model": "stub", "messages": messages, "tools": offered, **SAMPLING}
                data = (await client.post(f"{url}/chat/completions", json=body)).json()
                messages += answered(data["choices"][0]["message"]["tool_calls"])

        await run(chain)


async def openai_sdk(url: str, run: Repeat) -> None:
    import openai

    offered = tools()
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

        async def chain() -> None:
            messages: list[Any] = begin()
            for _ in range(CALLS + 1):
                completion = await client.chat.completions.create(
                    model="stub", messages=messages, tools=offered, **SAMPLING
                )
                calls = completion.choices[0].message.tool_calls or []
                messages += answered([call.model_dump() for call in calls])

        await run(chain)


async def callsmith_client(url: str, run: Repeat) -> None:
    from callsmith.backends import Request
    from callsmith.chain import Sampling
    from callsmith_openai.backend import open_backend

    offered, sampling = tuple(tools()), Sampling(temperature=0.7)
    backend = open_backend(f"stub@{url}")
    await backend.prepare()

    async def chain() -> None:
        messages = begin()
        for _ in range(CALLS + 1):
            completion = await backend.complete(Request(tuple(messages), offered, sampling, 7))
            calls = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": dict(call.arguments)},
                }
                for call in completion.calls
            ]
            messages += answered(calls)

    await run(chain)
    await backend.close()


RUN: dict[str, Any] = {
    "bare aiohttp": bare_aiohttp,
    "callsmith": callsmith_client,
    "httpx": httpx_client,
    "openai SDK": openai_sdk,
}


# ---- the measurement ----------------------------------------------------------------------------


def measure(client: str, url: str, chains: int) -> None:
    """Print what one client took: seconds and CPU seconds for these chains, and memory in MB."""
    meter = Meter()
    asyncio.run(RUN[client](url, repeat(chains, meter)))
    print(json.dumps(meter.read()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        return measure(arguments.client, arguments.url, arguments.chains)

    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    here = [sys.executable, __file__]
    found: dict[str, list[dict[str, float]]] = {client: [] for client in CLIENTS}
    with local_server() as url:
        turns = [client for _ in range(arguments.rounds) for client in CLIENTS]
        for client in track(turns, "measuring", console=Console(stderr=True), transient=True):
            command = [*here, "--client", client, "--url", url, "--chains", str(arguments.chains)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[client].append(json.loads(printed.splitlines()[-1]))

    def median(client: str, fact: str) -> float:
        return statistics.median(facts[fact] for facts in found[client])

    requests = arguments.chains * (CALLS + 1)
    ceiling = IN_FLIGHT / (LATENCY * (CALLS + 1))
    shown = Table(
        title=f"{arguments.chains} chains of {CALLS} calls, {IN_FLIGHT} in flight, "
        f"{1000 * LATENCY:.0f} ms a turn: at most {ceiling:.0f} chains/s",
        title_justify="left",
        box=None,
    )
    shown.add_column("client")
    columns = ("chains/s", "of bare", "CPU ms/request", "× bare", "peak MB")
    for column in columns:
        shown.add_column(column, justify="right")
    for client in CLIENTS:
        rate = arguments.chains / median(client, "seconds")
        bare = arguments.chains / median("bare aiohttp", "seconds")
        shown.add_row(
            client,
            f"{rate:.0f}",
            f"{rate / bare:.2f}",
            f"{1000 * median(client, 'cpu') / requests:.2f}",
            f"{median(client, 'cpu') / median('bare aiohttp', 'cpu'):.2f}",
            f"{median(client, 'memory'):.0f}",
        )
    console = Console()
    console.print(shown)
    for other, least in LEAST.items():
        ratio = median(other, "cpu") / median("callsmith", "cpu")
        verdict = "[green]reached[/]" if ratio >= least else "[red]not reached[/]"
        console.print(
            f"chains per CPU second, callsmith / {other}: {ratio:.2f} (at least {least}: {verdict})"
        )


if __name__ == "__main__":
    main()
