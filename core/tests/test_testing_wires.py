"""The part of the kit with a server: passed by a good client, failed by bad ones where they are."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from callsmith.backends import Capabilities, Completion, Request, split_url
from callsmith.chain import Call, Usage
from callsmith.errors import ModelFault, RateLimited, Rejected, Unavailable
from callsmith.serving import refusal
from callsmith.testing import OpenAIWire, check_backend
from callsmith.testing.day_checks import DAY_CHECKS
from callsmith.testing.wire_checks import WIRE_CHECKS

KEY = "sk-this-is-a-secret"


class Client:
    """A small client for OpenAI's wire, as good as it must be."""

    capabilities = Capabilities(constrains=("json",))

    def __init__(self, name: str) -> None:
        self.name = f"client:{name}"
        self.model, self.url = split_url(name)
        self.session: Any = None

    async def prepare(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout())
        models = await self.ask("GET", "/models")
        if self.model not in [model["id"] for model in models["data"]]:
            raise Rejected(f"{self.url} has no model {self.model}: see what it has")

    async def complete(self, request: Request) -> Completion:
        body = self.body(request)
        if not request.on_text:
            return self.read(await self.ask("POST", "/chat/completions", body))
        text, thoughts, finish, usage = "", "", "", {}
        calls: dict[int, dict[str, Any]] = {}
        async for event in self.events(body):
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                delta = choice["delta"]
                finish = choice["finish_reason"] or finish
                thoughts += delta.get("reasoning_content") or ""
                if piece := delta.get("content"):
                    text += piece
                    request.on_text(piece)
                for part in delta.get("tool_calls") or ():
                    call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
                    call["id"] += part.get("id") or ""
                    call["name"] += part["function"].get("name") or ""
                    call["arguments"] += part["function"]["arguments"]
        if not finish:
            raise Unavailable(f"{self.url} ended its answer too early")
        made = [{"id": call.pop("id"), "function": call} for _, call in sorted(calls.items())]
        message = {"content": text, "reasoning_content": thoughts, "tool_calls": made}
        choice = {"message": message, "finish_reason": finish}
        return self.read({"choices": [choice], "usage": usage})

    def body(self, request: Request) -> dict[str, Any]:
        messages = [dict(message) for message in request.messages]
        for message in messages:
            message["tool_calls"] = [
                call | {"function": call["function"] | {"arguments": self.arguments(call)}}
                for call in message.get("tool_calls", ())
            ]
        sampling = request.sampling
        body: dict[str, Any] = {"model": self.model, "messages": messages, **sampling.extra}
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        body |= {"max_tokens": sampling.max_tokens, "stop": sampling.stop}
        body |= {"seed": request.turn_seed, "stream": request.on_text is not None}
        if request.tools:
            body["tools"] = list(request.tools)
        if request.on_text:
            body["stream_options"] = {"include_usage": True}
        if request.constraint:
            held = {"name": "call", "schema": request.constraint.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": held}
        return body

    def arguments(self, call: dict[str, Any]) -> Any:
        return json.dumps(call["function"]["arguments"])

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self.opened(method, path, body) as response:
            return self.load(await response.text())

    async def events(self, body: Any) -> AsyncIterator[Any]:
        async with self.opened("POST", "/chat/completions", body) as response:
            rest = b""
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in filter(None, lines):
                    if line != b"data: [DONE]":
                        yield self.load(line.removeprefix(b"data: ").decode())

    @asynccontextmanager
    async def opened(self, method: str, path: str, body: Any) -> AsyncIterator[Any]:
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            async with self.session.request(
                method, self.url + path, json=body, headers=headers
            ) as response:
                if response.status != 200:
                    wait = response.headers.get("Retry-After", "")
                    raise refusal(response.status, self.words(await response.text()), wait)
                yield response
        except aiohttp.ClientError as error:
            raise Unavailable(f"{self.url} broke off: {error}") from error

    def words(self, said: str) -> str:
        """What the server said, in one line and without the key."""
        line = " ".join(re.sub("<[^>]*>", " ", said).split())
        return f"{self.url}: {line.replace(KEY, '…')}"

    def load(self, text: str) -> Any:
        try:
            return self.sound(json.loads(text))
        except ValueError as error:
            raise Unavailable(f"{self.url} answered what is no JSON") from error

    def sound(self, body: Any) -> Any:
        if "error" in body:
            raise refusal(body["error"]["code"], f"{self.url}: {body['error']['message']}")
        return body

    def read(self, body: Any) -> Completion:
        if not body["choices"]:
            raise Unavailable(f"{self.url} answered without a turn")
        message, usage = body["choices"][0]["message"], body["usage"]
        try:
            calls = [
                Call(
                    call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"]
                )
                for call in message.get("tool_calls") or ()
            ]
        except ValueError as error:
            raise ModelFault("the arguments are no JSON") from error
        return Completion(
            message["content"] or "",
            tuple(calls),
            body["choices"][0]["finish_reason"],
            Usage(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)),
            message.get("reasoning_content", ""),
        )

    async def close(self) -> None:
        if self.session:
            await self.session.close()


SENT = "the server is sent the conversation and the functions' schemas whole"
SAMPLING = "the server is sent the sampling, extras by name, and a seed that grows with each turn"
HELD = "the server is sent what a turn is held to, whole"
WHOLE = "a turn comes back as the server gave it: text, calls, thoughts, tokens, and why it ended"
MANY = "64 requests at once are sent at once, and each gets its own answer"
CANCEL = "a request that is cancelled lets go of the server, and leaves the backend usable"
UNKNOWN = "a model that the server lacks is Rejected by prepare(), in one sentence that names it"
SECRET = "the key is never shown"


def days(*names: str) -> set[str]:
    """The checks of the days that are called so, or begin so."""
    return {check for check in DAY_CHECKS if check.removeprefix("when a server ").startswith(names)}


async def test_a_good_client_passes_every_bad_day_and_shows_no_key() -> None:
    report = await check_backend(Client, wire=OpenAIWire(), secret=KEY)
    report.raise_if_failed()
    assert {check.why for check in report.skipped} == {"no model was named"}
    assert {*WIRE_CHECKS, *DAY_CHECKS, "the key is never shown"} <= {
        check.name for check in report.passed
    }


# ---- each of these breaks one promise -----------------------------------------------------------


class LosesBounds(Client):
    """As a client does whose types of tools know less than JSON Schema."""

    def body(self, request: Request) -> dict[str, Any]:
        body = super().body(request)
        text = json.dumps(body).replace('"minimum": 0, ', "")
        return json.loads(text)


class ObjectsForArguments(Client):
    def arguments(self, call: dict[str, Any]) -> Any:
        return call["function"]["arguments"]


class OneSeedForAll(Client):
    def body(self, request: Request) -> dict[str, Any]:
        return super().body(request) | {"seed": request.seed}


class ForgetsExtras(Client):
    def body(self, request: Request) -> dict[str, Any]:
        return {name: value for name, value in super().body(request).items() if name != "min_p"}


class HoldsToNothing(Client):
    def body(self, request: Request) -> dict[str, Any]:
        return super().body(replace(request, constraint=None))


class TellsNoThoughts(Client):
    async def complete(self, request: Request) -> Completion:
        turn = await super().complete(request)
        return turn if request.on_text else replace(turn, reasoning="")


class OneAtATime(Client):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.turn = asyncio.Lock()

    async def complete(self, request: Request) -> Completion:
        async with self.turn:
            return await super().complete(request)


class AnswersTheLast(Client):
    async def complete(self, request: Request) -> Completion:
        self.request = request
        await asyncio.sleep(0.01)
        return await super().complete(self.request)


class HoldsOnToTheServer(Client):
    """Lets its caller go, and the server only when it is closed itself."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.tasks: list[asyncio.Task[Completion]] = []

    async def complete(self, request: Request) -> Completion:
        self.tasks.append(asyncio.ensure_future(super().complete(request)))
        return await asyncio.shield(self.tasks[-1])

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await super().close()


class TakesAnyModel(Client):
    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        if path == "/models":
            await super().ask(method, path, body)
            return {"data": [{"id": self.model}]}
        return await super().ask(method, path, body)


class AsksAgain(Client):
    async def complete(self, request: Request) -> Completion:
        try:
            return await super().complete(request)
        except RateLimited:
            return await super().complete(request)


class SwallowsErrors(Client):
    async def complete(self, request: Request) -> Completion:
        try:
            return await super().complete(request)
        except Rejected:
            return Completion("I am sorry.")


class TakesErrorsForTurns(Client):
    def sound(self, body: Any) -> Any:
        if "error" not in body:
            return body
        said = {"content": body["error"]["message"]}
        choice = {"message": said, "delta": said, "finish_reason": "stop"}
        return {"choices": [choice], "usage": {}}


class ShowsPages(Client):
    def words(self, said: str) -> str:
        return said.replace(KEY, "…")


class TellsTheKey(Client):
    def words(self, said: str) -> str:
        return super().words(said) + KEY


class LogsTheKey(Client):
    async def complete(self, request: Request) -> Completion:
        logging.getLogger("client").debug("sending %s", {"Authorization": KEY})
        return await super().complete(request)


@pytest.mark.parametrize(
    ("bad", "sentences"),
    [
        (LosesBounds, {SENT}),
        (ObjectsForArguments, {SENT}),
        (OneSeedForAll, {SAMPLING}),
        (ForgetsExtras, {SAMPLING}),
        (HoldsToNothing, {HELD}),
        (TellsNoThoughts, {WHOLE}),
        (OneAtATime, {MANY}),
        (AnswersTheLast, {MANY}),
        (HoldsOnToTheServer, {CANCEL}),
        (TakesAnyModel, {UNKNOWN}),
        (AsksAgain, days("answers 429", "answers 503")),
        (SwallowsErrors, days("refuses", "no longer has the model")),
        (TakesErrorsForTurns, days("answers 200 with an error inside")),
        (ShowsPages, days("answers 502")),
        (TellsTheKey, {SECRET}),
        (LogsTheKey, {SECRET}),
    ],
)
async def test_a_bad_client_fails_where_it_is_bad(
    bad: Callable[[str], Client], sentences: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.testing.wire_checks.PATIENCE", 2.0)
    monkeypatch.setattr("callsmith.testing.day_checks.STALLED", 0.1)
    report = await check_backend(bad, wire=OpenAIWire(), secret=KEY)
    assert {check.name for check in report.failed} == sentences, str(report)
