"""A stand-in for Ollama: its documented API in front of a llama.cpp server, in its own process.

Ollama's binary is not to be had where these tests are written. So the protocol here is ours, read
off Ollama's documentation and sources (October 2025 and later), and the sampling is real: a prompt
is rendered by the model's own template, tokenised, cut or refused as Ollama does, and completed by
llama.cpp, just as Ollama itself drives it. Anybody with Ollama runs the same tests against the real
thing; the README of callsmith-ollama says how.

By hand: ``python tests/support/ollama_shim.py http://127.0.0.1:LLAMA_PORT``; it prints its URL.

Its models are all the one that llama.cpp has loaded, under names that differ in what Ollama says of
them (`ollama_engine.MODELS`). They write their calls as ``name(arg=value)``, which is what the
"parser" reads here, as Ollama has parsers for what other models write. Through the paths under
/shim a test finds what was asked, and says what is to happen next (`Shim.log`, `Shim.plan`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.request import Request, urlopen

from background import Background
from ollama_engine import MODELS, Body, Ollama
from ollama_protocol import Refused

LAYERS = {"sha256:aa": 3_000_000, "sha256:bb": 1_000}


class Shim(Background):
    """The stand-in.

    ``llama`` is the URL of the llama.cpp server without /v1; ``version`` the one it says it is
    (before 0.12.6 it knows no ``truncate``, before 0.6.4 no capabilities, before 0.12 no ids of
    calls); ``parallel`` and ``queue`` are OLLAMA_NUM_PARALLEL and OLLAMA_MAX_QUEUE.
    """

    def __init__(
        self, llama: str, *, version: str = "0.13.0", parallel: int = 4, queue: int = 512
    ) -> None:
        options = [f"--version={version}", f"--parallel={parallel}", f"--queue={queue}"]
        super().__init__(__file__, [llama, *options])

    @property
    def url(self) -> str:
        return self.root

    def log(self) -> Body:
        """``chats`` that were asked for, ``loads`` of models and their windows, how many requests
        were ``cancelled``, and the ``most`` under way at once."""
        return self._call("GET", "log")

    def plan(self, *answers: Body) -> None:
        """What the next chats are answered: ``status`` and ``error``, or the ``parts``."""
        self._call("POST", "next", list(answers))

    def forget(self) -> None:
        """As if newly started."""
        self._call("POST", "forget")

    def _call(self, method: str, what: str, body: Any = None) -> Any:
        request = Request(f"{self.url}/shim/{what}", json.dumps(body).encode(), method=method)
        with urlopen(request) as answer:
            return json.load(answer)


async def serve(options: argparse.Namespace) -> None:
    """Be the server until cancelled, or with ``--with-parent`` until stdin is closed."""
    from aiohttp import web

    ollama = Ollama(options)
    json_response = web.json_response

    async def chat(request: web.Request) -> web.StreamResponse:
        # What is no Unicode, Go's JSON puts a character in the place of.
        read = json.dumps(await request.json(), ensure_ascii=False).encode(errors="replace")
        body = json.loads(read)
        ollama.log["chats"].append(body)
        parts = scripted(ollama.next.popleft()) if ollama.next else ollama.chat(body)
        async with aclosing(parts):
            if body.get("stream", True):
                return await stream(request, parts)
            return json_response(joined([part async for part in parts]))

    async def pull(request: web.Request) -> web.StreamResponse:
        return await stream(request, fetch(ollama, (await request.json())["model"]))

    async def ps(request: web.Request) -> web.Response:
        ollama.unload_idle()
        loaded = [{"model": n, "context_length": it[0]} for n, it in ollama.loaded.items()]
        return json_response({"models": loaded})

    async def version(request: web.Request) -> web.Response:
        return json_response({"version": options.version})

    async def tags(request: web.Request) -> web.Response:
        return json_response(ollama.tags())

    async def show(request: web.Request) -> web.Response:
        return json_response(await ollama.show((await request.json()).get("model")))

    async def log(request: web.Request) -> web.Response:
        return json_response(ollama.log)

    async def plan(request: web.Request) -> web.Response:
        ollama.next.extend(await request.json())
        return json_response({})

    async def forget(request: web.Request) -> web.Response:
        ollama.forget()
        return json_response({})

    app = web.Application(middlewares=[web.middleware(_refusing)], client_max_size=2**26)
    app.add_routes([web.get("/api/version", version), web.get("/api/tags", tags)])
    app.add_routes([web.get("/api/ps", ps), web.post("/api/show", show)])
    app.add_routes([web.post("/api/chat", chat), web.post("/api/pull", pull)])
    app.add_routes([web.get("/shim/log", log), web.post("/shim/next", plan)])
    app.add_routes([web.post("/shim/forget", forget)])
    # Ollama stops writing when nobody is there to read.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    if options.with_parent:
        await asyncio.to_thread(sys.stdin.read)
        os._exit(0)  # nobody is left to answer
    await asyncio.Event().wait()


async def _refusing(request: Any, handler: Any) -> Any:
    """Turns what is refused into Ollama's form of an error."""
    from aiohttp import ClientError, web

    try:
        return await handler(request)
    except ClientError as error:
        said = f"llama runner process no longer running: {error}"
        return web.json_response({"error": said}, status=500)
    except Refused as error:
        return web.json_response({"error": error.message}, status=error.status)
    except json.JSONDecodeError as error:
        return web.json_response({"error": f"invalid character: {error}"}, status=400)


async def stream(request: Any, parts: AsyncGenerator[Body, None]) -> Any:
    """The parts, a line each; an error after the first of them is a line as well."""
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    try:
        async for part in parts:
            if not response.prepared:
                await response.prepare(request)
            await response.write(json.dumps(part).encode() + b"\n")
    except Refused as error:
        if not response.prepared:
            raise
        await response.write(json.dumps({"error": error.message}).encode() + b"\n")
    await response.write_eof()
    return response


async def scripted(script: Body) -> AsyncGenerator[Body, None]:
    """What a test has said is to happen: an error with a status, or these parts."""
    if "status" in script:
        raise Refused(script["status"], script["error"])
    for part in script["parts"]:
        if "error" in part:
            raise Refused(500, part["error"])
        yield part


async def fetch(ollama: Ollama, given: str) -> AsyncGenerator[Body, None]:
    """A model comes from the library, layer by layer."""
    name = given if ":" in given else f"{given}:latest"
    yield {"status": "pulling manifest"}
    if name not in MODELS:
        raise Refused(500, "pull model manifest: file does not exist")
    for digest, size in LAYERS.items():
        about = {"status": f"pulling {digest[7:]}", "digest": digest, "total": size}
        yield about
        for part in (1, 2):
            yield about | {"completed": size * part // 2}
    for status in ("verifying sha256 digest", "writing manifest"):
        yield {"status": status}
    ollama.here.add(name)
    yield {"status": "success"}


def joined(parts: list[Body]) -> Body:
    """The parts of a stream as the one answer that Ollama makes of them."""
    messages = [part.get("message", {}) for part in parts]
    message: Body = {"role": "assistant"}
    message["content"] = "".join(part.get("content", "") for part in messages)
    if thinking := "".join(part.get("thinking", "") for part in messages):
        message["thinking"] = thinking
    if calls := [call for part in messages for call in part.get("tool_calls", [])]:
        message["tool_calls"] = calls
    return {**parts[-1], "message": message}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("llama", help="the URL of a llama.cpp server, without /v1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--version", default="0.13.0", help="which Ollama it is like")
    parser.add_argument("--parallel", type=int, default=4, help="OLLAMA_NUM_PARALLEL")
    parser.add_argument("--queue", type=int, default=512, help="OLLAMA_MAX_QUEUE")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
