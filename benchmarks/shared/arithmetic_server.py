"""An OpenAI-compatible server for runs that are to be disturbed: fast, and the same every time.

It adds twice, then answers with a number that depends on the problem. Where it is offered
``solve``, which runs in a worker process, it takes that for one problem in twenty. Run as
``arithmetic_server.py PORT [LATENCY]`` it prints its URL, and ends when its standard input is
closed.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import zlib
from typing import Any

TEACH = ("teach", "-t", "wordproblems", "-f", "math.add", "--shots", "0")
"""The arguments of callsmith that suit it."""


class ArithmeticServer:
    """The server in a process of its own, on a port that stays its own when it is killed."""

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._port = 0
        self.url = ""
        self.start()

    @property
    def model(self) -> str:
        return f"openai:stub@{self.url}"

    def start(self) -> None:
        command = [sys.executable, __file__, str(self._port), str(self._latency)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        self._port = int(self.url.rpartition(":")[2].removesuffix("/v1"))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def turn(messages: list[dict[str, Any]], offered: str) -> tuple[str, dict[str, Any]]:
    """The call of this turn."""
    asked = next(m["content"] for m in reversed(messages) if m["role"] == "user")
    number = zlib.crc32(asked.encode()) % 1000
    turns = sum(message["role"] == "assistant" for message in messages)
    if turns == 0:
        return "add", {"a": number, "b": 1}
    if turns == 1 and number % 20 == 0 and "solve" in offered:
        return "solve", {"equation": f"x + 1 = {number}", "variable": "x"}
    if turns == 1:
        return "add", {"a": number, "b": 2}
    return "answer", {"value": number}


def serve(port: int, latency: float) -> None:
    from aiohttp import web

    async def chat(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        name, arguments = turn(body["messages"], json.dumps(body.get("tools")))
        call = {"name": name, "arguments": json.dumps(arguments)}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        }
        if latency:
            await asyncio.sleep(latency)
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        usage = {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "stub"}
        return web.json_response(answer | {"choices": [choice], "usage": usage})

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    async def run() -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=256, reuse_address=True)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        await asyncio.to_thread(sys.stdin.read)

    asyncio.run(run())


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
