"""Chains against the local server: the messages and schemas that every client sends, and a bare
loop over aiohttp, the least that a client can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from shared.meters import Meter
from shared.server import CALLS

IN_FLIGHT = 64
FUNCTIONS = ("math.add", "math.subtract", "math.multiply", "math.divide")
PROBLEM = "A box holds 6 eggs, and each egg weighs 60 grams. How much do 4 boxes weigh in grams?"
SYSTEM = "Solve the problem by calling functions, one step at a time. End with a call of answer."
SAMPLING = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 512, "seed": 7}

Chain: TypeAlias = Callable[[], Awaitable[None]]
Repeat: TypeAlias = Callable[[Chain], Awaitable[None]]


def tools() -> list[Any]:
    """The schemas of the functions, sent with every request."""
    from callsmith.plugins import load_registry

    functions = [*load_registry().functions(FUNCTIONS).values()]
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


def repeat(chains: int, meter: Meter) -> Repeat:
    """Runs a chain so many times, IN_FLIGHT at once, and starts the meter before the first."""

    async def run(chain: Chain) -> None:
        meter.start()
        owed = iter(range(chains))

        async def work() -> None:
            for _ in owed:
                await chain()

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    return run


async def bare_aiohttp(url: str, run: Repeat) -> None:
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

        await run(chain)
