"""What a request to an OpenAI-compatible server costs: ours beside a bare loop and other clients.

Chains of five calls and an answer, 64 in flight, against one local server that answers each turn
after 50 ms, the same bodies and answers for every client. Each client runs in a process of its own;
rounds are interleaved, medians shown. `engine` is the whole of callsmith: the loop, the functions
really called, arguments validated, every chain recorded in SQLite.

    python benchmarks/client_overhead.py [--chains 400] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

CALLS = 5
IN_FLIGHT = 64
LATENCY = 0.05
CLIENTS = ("bare aiohttp", "callsmith", "engine", "httpx", "openai SDK")
LEAST = {"bare aiohttp": 0.85, "openai SDK": 4.0}
"""The chains per CPU second of callsmith's client, as multiples of theirs, that we hold it to."""

PROBLEM = "A box holds 6 eggs, and each egg weighs 60 grams. How much do 4 boxes weigh in grams?"
SYSTEM = "Solve the problem by calling functions, one step at a time. End with a call of answer."

Chain: TypeAlias = Callable[[], Awaitable[None]]


# ---- the server ---------------------------------------------------------------------------------


def serve() -> None:
    """Calls ``add`` with other numbers each time, then answers. Prints its URL."""
    from aiohttp import web

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        name, arguments = ("add", {"a": turn, "b": 1}) if turn < CALLS else ("answer", {"value": 1})
        call = {"name": name, "arguments": json.dumps(arguments)}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"call_{turn:05}", "type": "function", "function": call}],
        }
        await asyncio.sleep(LATENCY)
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "stub",
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320},
            }
        )

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    async def run() -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=256)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        # Until whoever started it closes its standard input.
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(run())


# ---- the clients --------------------------------------------------------------------------------


def tools() -> list[Any]:
    """The schemas of the functions that every client sends with every request."""
    from callsmith.plugins import load_registry

    names = ("math.add", "math.subtract", "math.multiply", "math.divide")
    functions = [*load_registry().functions(names).values()]
    answer = {
        "type": "function",
        "function": {
            "name": "answer",
            "description": "Give the answer.",
            "parameters": {"type": "object", "properties": {"value": {"type": "number"}}},
        },
    }
    return [*(json.loads(json.dumps(function.schema)) for function in functions), answer]


def begin() -> list[dict[str, Any]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROBLEM}]


def answered(calls: list[Any]) -> list[dict[str, Any]]:
    """What the wire's messages go on with: the model's calls, and a result for each."""
    assistant = {"role": "assistant", "content": "", "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "1"} for call in calls]
    return [assistant, *results]


async def bare_aiohttp(url: str, count: Callable[[Chain], Awaitable[None]]) -> None:
    import aiohttp

    offered = tools()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def chain() -> None:
            messages = begin()
            for _ in range(CALLS + 1):
                body = {"model": "stub", "messages": messages, "tools": offered, **SAMPLING}
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    data = await response.json()
                messages += answered(data["choices"][0]["message"]["tool_calls"])

        await count(chain)


async def httpx_client(url: str, count: Callable[[Chain], Awaitable[None]]) -> None:
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

        await count(chain)


async def openai_sdk(url: str, count: Callable[[Chain], Awaitable[None]]) -> None:
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

        await count(chain)


async def callsmith_client(url: str, count: Callable[[Chain], Awaitable[None]]) -> None:
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

    await count(chain)
    await backend.close()


def engine(url: str, chains: int) -> None:
    """As a user runs it: a task, a rollout, a store."""
    from callsmith import Problem, RolloutConfig, Workspace
    from callsmith.plugins import load_registry
    from callsmith.tasks import BaseTask

    class Boxes(BaseTask):
        name = "boxes"
        instructions = SYSTEM
        functions = ("math.add", "math.subtract", "math.multiply", "math.divide")
        answer = {"type": "number"}  # noqa: RUF012

        def problems(self, split: str) -> list[Problem]:
            return [Problem(f"{PROBLEM} ({n})", 1) for n in range(chains)]

    class Here(Workspace):
        def task(self, config: Any) -> Any:
            return Boxes()

    with tempfile.TemporaryDirectory() as home:
        config = RolloutConfig(
            task="boxes",
            model=f"openai:stub@{url}",
            dialect="native",
            temperature=0.7,
            concurrency=IN_FLIGHT,
        )
        report = Here(home, load_registry()).teach(config)
        assert report.tally.done == chains


SAMPLING = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 512, "seed": 7}

RUN: dict[str, Any] = {
    "bare aiohttp": bare_aiohttp,
    "callsmith": callsmith_client,
    "httpx": httpx_client,
    "openai SDK": openai_sdk,
}


# ---- the measurement ----------------------------------------------------------------------------


def measure(client: str, url: str, chains: int) -> None:
    """Print what one client took: seconds and CPU seconds for these chains, and memory in MB."""
    began, cpu = time.perf_counter(), 0.0

    async def count(chain: Chain) -> None:
        nonlocal began, cpu
        began, cpu = time.perf_counter(), _cpu()
        owed = iter(range(chains))

        async def work() -> None:
            for _ in owed:
                await chain()

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        print(json.dumps(_facts(began, cpu)), flush=True)

    if client == "engine":
        import callsmith_openai.backend  # noqa: F401  (imports are nobody's requests)

        cpu = _cpu()
        engine(url, chains)
        print(json.dumps(_facts(began, cpu)), flush=True)
    else:
        asyncio.run(RUN[client](url, count))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _facts(began: float, cpu: float) -> dict[str, float]:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.perf_counter() - began, "cpu": _cpu() - cpu, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    if arguments.client:
        return measure(arguments.client, arguments.url, arguments.chains)

    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    here = [sys.executable, str(Path(__file__))]
    server = subprocess.Popen(
        [*here, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    url = server.stdout.readline().strip()
    found: dict[str, list[dict[str, float]]] = {client: [] for client in CLIENTS}
    try:
        turns = [client for _ in range(arguments.rounds) for client in CLIENTS]
        for client in track(turns, "measuring", console=Console(stderr=True), transient=True):
            command = [*here, "--client", client, "--url", url, "--chains", str(arguments.chains)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[client].append(json.loads(printed.splitlines()[-1]))
    finally:
        server.communicate()

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
