"""What passes between a backend and its server on good days, seen from a `FaultServer`'s side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from callsmith.backends import Completion
from callsmith.chain import Sampling, Step
from callsmith.errors import BackendError, Rejected, Unavailable
from callsmith.testing.asking import (
    MANY,
    MEASURE,
    PROBLEM,
    STEPS,
    UNKNOWN,
    ask,
    one_sentence,
    prompt_of,
)
from callsmith.testing.faults import BadDay, Exchange, FaultServer, echo
from callsmith.testing.report import Failed, Skipped
from callsmith.testing.served import WORDS, compare, dialect_of, good, last_sent, question, served
from callsmith.testing.trial import Trial
from callsmith.testing.wires import spoken

WireCheck: TypeAlias = Callable[[Trial], Awaitable[None]]

WIRE_CHECKS: dict[str, WireCheck] = {}

PATIENCE = 10.0
"""Seconds for what takes a good client milliseconds."""


def check(name: str) -> Callable[[WireCheck], WireCheck]:
    """Add a check under the sentence that should hold."""

    def add_it(made: WireCheck) -> WireCheck:
        WIRE_CHECKS[name] = made
        return made

    return add_it


# ---- what is sent -------------------------------------------------------------------------------


@check("the server is sent the conversation and the functions' schemas whole")
async def _(trial: Trial) -> None:
    async with served(trial) as (server, backend):
        prompt = prompt_of(dialect_of(backend), MEASURE)
        messages = prompt.conversation(PROBLEM, STEPS, "native")
        await backend.complete(replace(ask(messages), tools=prompt.tools))
        sent = last_sent(server)
        if spoken(sent.messages) != spoken(messages):
            raise Failed(f"it was sent {spoken(sent.messages)}, and not {spoken(messages)}")
        if list(sent.tools) != list(prompt.tools):
            raise Failed(f"it was sent {list(sent.tools)}, and not {list(prompt.tools)}")


@check("the server is sent the sampling, extras by name, and a seed that grows with each turn")
async def _(trial: Trial) -> None:
    sampling = Sampling(0.7, 0.9, 77, ("END", "STOP"), {"min_p": 0.05})
    async with served(trial) as (server, backend):
        request = replace(ask(seed=41), sampling=sampling, steps=(Step(),))
        await backend.complete(request)
        sent = last_sent(server)
        wanted = {
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 77,
            "stop": ("END", "STOP"),
            "seed": 42,
        }
        for name, value in wanted.items():
            if getattr(sent, name) != value:
                raise Failed(f"{name} was sent as {getattr(sent, name)!r}, and not as {value!r}")
        if sent.extra.get("min_p") != 0.05:
            raise Failed(f"min_p was sent as {sent.extra.get('min_p')!r}, and not as 0.05")


@check("the server is sent what a turn is held to, whole")
async def _(trial: Trial) -> None:
    async with served(trial) as (server, backend):
        if not backend.capabilities.constrains:
            raise Skipped("it can't hold this server's models to valid calls")
        for dialect in backend.capabilities.constrains:
            constraint = prompt_of(dialect, MEASURE, constrained=True).constraint
            assert constraint, "the prompt is constrained"
            await backend.complete(replace(ask(), constraint=constraint))
            sent = last_sent(server)
            if (sent.schema, sent.grammar) != (constraint.schema, constraint.grammar):
                raise Failed(f"in the {dialect} dialect it was sent {sent.schema or sent.grammar}")


# ---- what comes back ----------------------------------------------------------------------------


@check("a turn comes back as the server gave it: text, calls, thoughts, tokens, and why it ended")
async def _(trial: Trial) -> None:
    async with served(trial, good) as (server, backend):
        given = await backend.complete(question(backend))
        if last_sent(server).stream:
            raise Failed("it was streamed, and nobody wanted its pieces")
        compare(given, good(last_sent(server)), whole=True)


@check("a turn comes back the same when it is streamed, and its pieces add up to its text")
async def _(trial: Trial) -> None:
    async with served(trial, good) as (server, backend):
        pieces: list[str] = []
        given = await backend.complete(replace(question(backend), on_text=pieces.append))
        if not last_sent(server).stream:
            raise Skipped("it does not stream")
        compare(given, good(last_sent(server)), whole=True)
        if "".join(pieces) != given.text:
            raise Failed(f"the pieces are {pieces}, the text is {given.text!r}")
        if len(pieces) < 2:
            raise Failed("all of the text came in one piece")


@check('a turn that the server cut off ends by "length"')
async def _(trial: Trial) -> None:
    async with served(trial, lambda sent: Completion(WORDS, finish="length")) as (_, backend):
        given = await backend.complete(ask())
        if given.finish != "length":
            raise Failed(f"it ends by {given.finish!r}")


@check(f"{MANY} requests at once are sent at once, and each gets its own answer")
async def _(trial: Trial) -> None:
    arrived, all_there = 0, asyncio.Event()

    async def wait_for_all(x: Exchange) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == MANY:
            all_there.set()
        await all_there.wait()
        await x.send(x.response())

    everybody = BadDay("waits", wait_for_all, ())
    async with served(trial, days=[everybody] * MANY) as (_, backend):
        asked = [f"This is request {n}." for n in range(MANY)]
        tasks = [asyncio.ensure_future(backend.complete(ask(said))) for said in asked]
        await asyncio.wait(tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        sent_at_once = arrived
        all_there.set()
        turns = await asyncio.gather(*tasks)
        if sent_at_once < MANY:
            raise Failed(f"it sent {sent_at_once} of them, and waited for their answers")
        for said, turn in zip(asked, turns, strict=True):
            if turn.text != f"You said: {said}":
                raise Failed(f"{said!r} was answered by {turn.text!r}")


@check("a request that is cancelled lets go of the server, and leaves the backend usable")
async def _(trial: Trial) -> None:
    arrived = asyncio.Event()

    async def hold(x: Exchange) -> None:
        arrived.set()
        await x.hold()

    async with served(trial, days=[BadDay("waits", hold, ())]) as (server, backend):
        task = asyncio.ensure_future(backend.complete(ask()))
        await arrived.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
        if not task.cancelled():
            raise Failed("it did not end by CancelledError")
        for _ in range(round(PATIENCE / 0.05)):
            if server.left:
                break
            await asyncio.sleep(0.05)
        else:
            raise Failed(f"the server was still connected {PATIENCE:g} seconds later")
        compare(await backend.complete(ask()), echo(last_sent(server)))


@check("a model that the server lacks is Rejected by prepare(), in one sentence that names it")
async def _(trial: Trial) -> None:
    async with FaultServer(trial.wire) as server:
        try:
            async with trial.opened(f"{UNKNOWN}@{server.url}"):
                raise Failed("it was opened and prepared")
        except Rejected as error:
            one_sentence(error, UNKNOWN)


@check("a server that is not there is Unavailable by prepare(), in one sentence with its address")
async def _(trial: Trial) -> None:
    async with FaultServer(trial.wire) as server:
        url = server.url
    try:
        async with trial.opened(f"{trial.wire.model}@{url}"):
            raise Failed("it was opened and prepared")
    except Unavailable as error:
        one_sentence(error, f"127.0.0.1:{server.port}")


@check("a server that does not take the key makes it Rejected, in one sentence")
async def _(trial: Trial) -> None:
    said = f"Incorrect API key provided: {trial.secret}"
    one_sentence(await _refused(trial, (401, said), Rejected))


@check("a server that is not ready yet makes it Unavailable, in one sentence")
async def _(trial: Trial) -> None:
    one_sentence(await _refused(trial, (503, "Loading model"), Unavailable))


async def _refused(
    trial: Trial, refusal: tuple[int, str], kind: type[BackendError]
) -> BackendError:
    """What comes, before the first turn or with it, of a server that refuses everything."""
    async with FaultServer(trial.wire, refuses=refusal) as server:
        try:
            async with trial.opened(f"{trial.wire.model}@{server.url}") as backend:
                await backend.complete(ask())
        except kind as error:
            return error
    raise Failed("it was answered")
