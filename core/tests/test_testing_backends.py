"""The conformance kit passes a good backend, and fails a bad one in just the sentence it breaks."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from callsmith.backends import Capabilities, Completion, Request
from callsmith.chain import Call, Usage, digest
from callsmith.errors import BackendError, ContextOverflow, Rejected, Unavailable
from callsmith.testing import check_backend

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

A_TURN = "a turn has text or calls, says why it ended, and counts its tokens"
LENGTH = 'max_tokens is kept, and a turn that it cuts off ends by "length"'
STOP = "a stop string ends the turn, and is not in its text"
SEED = "the same seed gives the same text, and other seeds give others"
COLD = "temperature 0 gives the same text again, whatever the seed"
STREAM = "the pieces of a streamed turn add up to the text that it has when it is not streamed"
CALLS = "calls that the server tells apart have objects of arguments"
NATIVE = "a conversation of calls, results and faults is answered in the native dialect"
JSON_HELD = "a turn held to valid calls is one, in the json dialect"
TEXT_HELD = "a turn held to valid calls is one, in the text dialect"
MANY = "64 requests at once each get their own answer"
CANCEL = "a request that is cancelled ends, and leaves the backend usable"
UNKNOWN = "an unknown model is Rejected before the first request, in one sentence that names it"
OVERFLOW = "a conversation longer than the context is a ContextOverflow"
SENSELESS = "a request that makes no sense gets a BackendError, or an answer"
CLOSED = "close() may be called twice"
TASKS = "closing leaves no task behind"
SOCKETS = "closing leaves no socket open"


class Good:
    """A model that writes number words: a good backend, small enough to be seen through."""

    name = "good"
    capabilities = Capabilities(
        dialects=("native", "text", "json"), context=400, constrains=("json", "text")
    )

    def __init__(self, model: str) -> None:
        self.model = model

    async def prepare(self) -> None:
        if self.model != "counts":
            raise Rejected(f"there is no model {self.model!r}: take counts")

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0.001)
        prompt = len(json.dumps(list(request.messages)).split())
        if prompt > self.capabilities.context:
            raise ContextOverflow(f"{prompt} words are more than {self.capabilities.context}")
        if request.sampling.temperature < 0:
            raise Rejected("a temperature can't be negative")
        words = self.words(request)
        written = words[: request.sampling.max_tokens]
        text = " ".join(written)
        for stop in request.sampling.stop:
            text = text.partition(stop)[0]
        if request.on_text:
            for piece in text.partition(" "):
                request.on_text(piece)
        return Completion(
            text,
            calls=self.calls(request),
            finish="length" if len(written) < len(words) else "stop",
            usage=Usage(prompt, len(written)),
        )

    def words(self, request: Request) -> list[str]:
        luck = self.luck(request)
        if request.constraint and request.constraint.schema:
            call = {"name": "add", "arguments": {"a": luck.randint(1, 3), "b": 1}}
            return [json.dumps({"call": call})]
        if request.constraint:
            return [f"add(a={luck.randint(1, 3)}, b=1)"]
        return luck.choices(WORDS, k=12)

    def calls(self, request: Request) -> tuple[Call, ...]:
        return (Call("add", {"a": 1, "b": 2}, "call00001"),) if request.tools else ()

    def luck(self, request: Request) -> random.Random:
        seed = request.turn_seed if request.sampling.temperature else 0
        return random.Random(digest([list(request.messages), seed]))

    async def close(self) -> None: ...


async def test_a_good_backend_passes_all_that_can_be_tried_without_a_server() -> None:
    report = await check_backend(Good, "counts")
    report.raise_if_failed()
    reasons = {check.why for check in report.skipped}
    assert reasons == {"no wire was given", "no secret was given"}
    assert {A_TURN, JSON_HELD, MANY, TASKS} <= {check.name for check in report.passed}


# ---- each of these breaks one promise -----------------------------------------------------------


class CountsNoTokens(Good):
    async def complete(self, request: Request) -> Completion:
        turn = await super().complete(request)
        return replace(turn, usage=replace(turn.usage, completion=0))


class NeverSaysLength(Good):
    async def complete(self, request: Request) -> Completion:
        return replace(await super().complete(request), finish="stop")


class WritesOn(Good):
    """Takes max_tokens for a hint."""

    async def complete(self, request: Request) -> Completion:
        more = replace(request.sampling, max_tokens=request.sampling.max_tokens + 4)
        return await super().complete(replace(request, sampling=more))


class IgnoresStop(Good):
    async def complete(self, request: Request) -> Completion:
        return await super().complete(replace(request, sampling=replace(request.sampling, stop=())))


class IgnoresSeed(Good):
    def luck(self, request: Request) -> random.Random:
        return super().luck(replace(request, seed=0, steps=()))


class SeedsItself(Good):
    """At random, unless it is cold."""

    def luck(self, request: Request) -> random.Random:
        return random.Random() if request.sampling.temperature else super().luck(request)


class NeverCold(Good):
    def luck(self, request: Request) -> random.Random:
        warm = replace(request.sampling, temperature=1.0)
        return super().luck(replace(request, sampling=warm))


class LosesPieces(Good):
    async def complete(self, request: Request) -> Completion:
        pieces: list[str] = []
        turn = await super().complete(
            replace(request, on_text=pieces.append if request.on_text else None)
        )
        for piece in pieces[1:]:
            assert request.on_text
            request.on_text(piece)
        return turn


class ArgumentsAsText(Good):
    def calls(self, request: Request) -> tuple[Call, ...]:
        arguments: Any = '{"a": 1}'
        return (Call("add", arguments),) if request.tools else ()


class RefusesResults(Good):
    async def complete(self, request: Request) -> Completion:
        if any(message["role"] == "tool" for message in request.messages):
            raise Rejected("messages of the role tool are not known here")
        return await super().complete(request)


class CantBeHeldToJson(Good):
    def words(self, request: Request) -> list[str]:
        if request.constraint and request.constraint.schema:
            return ['{"call": {"name": "add", "arguments": {"a": 99, "b": 1}}}']
        return super().words(request)


class CantBeHeldToText(Good):
    def words(self, request: Request) -> list[str]:
        if request.constraint and request.constraint.grammar:
            return ["add(", "a="]
        return super().words(request)


class CrossesAnswers(Good):
    """Gives an answer to whoever asked last, as one that keeps the request on itself would."""

    async def complete(self, request: Request) -> Completion:
        self.request = request
        await asyncio.sleep(0.001)
        return await super().complete(self.request)


class GoesOnWhenCancelled(Good):
    async def complete(self, request: Request) -> Completion:
        try:
            return await super().complete(request)
        except asyncio.CancelledError:
            return Completion("one", usage=Usage(1, 1))


class DeadAfterACancel(Good):
    dead = False

    async def complete(self, request: Request) -> Completion:
        if self.dead:
            raise Unavailable("the connection is broken")
        try:
            return await super().complete(request)
        except asyncio.CancelledError:
            self.dead = True
            raise


class TakesAnyModel(Good):
    def __init__(self, model: str) -> None:
        super().__init__("counts")


class NamesNoModel(Good):
    async def prepare(self) -> None:
        if self.model != "counts":
            raise Rejected("no such model")


class CutsTheConversation(Good):
    """Silently, as Ollama would."""

    async def complete(self, request: Request) -> Completion:
        last = request.messages[-1]["content"] if request.messages else ""
        if len(last.split()) > 300:
            request = replace(request, messages=[{"role": "user", "content": last[:300]}])
        return await super().complete(request)


class RaisesAnything(Good):
    async def complete(self, request: Request) -> Completion:
        if request.sampling.temperature < 0:
            raise ValueError("temperature must be positive")
        return await super().complete(request)


class SaysNothingOfWhoMustAct(Good):
    async def complete(self, request: Request) -> Completion:
        if request.sampling.temperature < 0:
            raise BackendError("temperature must be positive")
        return await super().complete(request)


class ClosesOnce(Good):
    closed = False

    async def close(self) -> None:
        if self.closed:
            raise RuntimeError("it is closed already")
        self.closed = True


class LeaksATask(Good):
    async def prepare(self) -> None:
        await super().prepare()
        self.task = asyncio.get_running_loop().create_task(self.watch())

    async def watch(self) -> None:
        await asyncio.Event().wait()


class LeaksASocket(Good):
    async def prepare(self) -> None:
        await super().prepare()
        self.socket = socket.socket()


@pytest.mark.parametrize(
    ("bad", "sentences"),
    [
        (CountsNoTokens, {A_TURN}),
        (NeverSaysLength, {LENGTH}),
        (WritesOn, {LENGTH}),
        (IgnoresStop, {STOP}),
        (IgnoresSeed, {SEED}),
        (SeedsItself, {SEED}),
        (NeverCold, {COLD}),
        (LosesPieces, {STREAM}),
        (ArgumentsAsText, {CALLS}),
        (RefusesResults, {NATIVE}),
        (CantBeHeldToJson, {JSON_HELD}),
        (CantBeHeldToText, {TEXT_HELD}),
        (CrossesAnswers, {MANY}),
        (GoesOnWhenCancelled, {CANCEL}),
        (DeadAfterACancel, {CANCEL}),
        (TakesAnyModel, {UNKNOWN}),
        (NamesNoModel, {UNKNOWN}),
        (CutsTheConversation, {OVERFLOW}),
        (RaisesAnything, {SENSELESS}),
        (SaysNothingOfWhoMustAct, {SENSELESS}),
        (ClosesOnce, {CLOSED}),
        (LeaksATask, {TASKS}),
        (LeaksASocket, {SOCKETS}),
    ],
)
async def test_a_bad_backend_fails_where_it_is_bad(
    bad: Callable[[str], Good], sentences: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.testing.trial.SETTLE", 0.2)  # nothing here ends by itself
    report = await check_backend(bad, "counts")
    assert {check.name for check in report.failed} == sentences, str(report)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
