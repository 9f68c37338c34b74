"""A backend whose server is a `FaultServer`, for the checks of what passes between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from callsmith.backends import Completion, Request
from callsmith.chain import Call, Dialect, Usage
from callsmith.testing.asking import PROBLEM, ask, prompt_of
from callsmith.testing.faults import BadDay, FaultServer, Good, count, echo
from callsmith.testing.report import Failed
from callsmith.testing.trial import Trial, Watched
from callsmith.testing.wires import Sent

WORDS = "Voilà: the sum of 48 and 24 is seventy-two 😀, and that is all."

CALLS = (Call("add", {"a": 1, "b": 2}, "call00001"), Call("add", {"a": 3, "b": 3}, "call00002"))

THOUGHTS = "First the one, then the other."


@asynccontextmanager
async def served(
    trial: Trial, good: Good = echo, days: Iterable[BadDay | None] = ()
) -> AsyncIterator[tuple[FaultServer, Watched]]:
    """A fault server, and a backend that was prepared against it before the days begin."""
    async with FaultServer(trial.wire, good) as server:
        try:
            async with trial.opened(f"{trial.wire.model}@{server.url}") as backend:
                server.coming.extend(days)
                yield server, backend
        finally:
            for asked in server.requests:
                trial.secret_was_sent |= any(
                    trial.secret in text for text in asked.headers.values()
                )


def dialect_of(backend: Watched) -> Dialect:
    return "native" if "native" in backend.capabilities.dialects else "text"


def question(backend: Watched) -> Request:
    prompt = prompt_of(dialect_of(backend))
    return replace(ask(prompt.conversation(PROBLEM)), tools=prompt.tools)


def good(sent: Sent) -> Completion:
    """The turn of a healthy server, with everything in it that this conversation allows."""
    usage = Usage(count(sent), 7)
    if not sent.tools:
        return Completion(WORDS, usage=usage, reasoning=THOUGHTS)
    return Completion(WORDS, CALLS, "tool_calls", usage, THOUGHTS)


def last_sent(server: FaultServer) -> Sent:
    """What the server was asked for last. Raises Failed if it refused that."""
    sent = server.turns[-1].sent if server.turns else None
    if sent is None:
        raise Failed("the server was sent no turn that it could read")
    return sent


def compare(given: Completion, wanted: Completion, whole: bool = False) -> None:
    """Raises Failed if they differ in text or calls; with ``whole``, in all that counts."""
    if given.text != wanted.text:
        raise Failed(f"its text is {given.text[:200]!r}, and not {wanted.text[:200]!r}")
    calls = [(call.name, dict(call.arguments)) for call in given.calls]
    if calls != [(call.name, dict(call.arguments)) for call in wanted.calls]:
        raise Failed(f"its calls are {given.calls}, and not {wanted.calls}")
    if not whole:
        return
    # Not all wires carry ids.
    if any(
        call.id not in ("", real.id) for call, real in zip(given.calls, wanted.calls, strict=True)
    ):
        raise Failed(f"the ids of its calls are {[call.id for call in given.calls]}")
    if (given.usage.prompt, given.usage.completion) != (wanted.usage.prompt, 7):
        raise Failed(f"its tokens are {given.usage}, and not {wanted.usage}")
    if given.reasoning != wanted.reasoning:
        raise Failed(f"its thoughts are {given.reasoning!r}, and not {wanted.reasoning!r}")
