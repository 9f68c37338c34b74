"""What a backend makes of each bad day of its server: one bad turn, then good ones again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from callsmith.backends import Completion, Request
from callsmith.errors import BackendError, Unavailable, describe
from callsmith.testing.asking import one_sentence
from callsmith.testing.days import BAD_DAYS, RETRY_AFTER
from callsmith.testing.faults import Asked, BadDay
from callsmith.testing.report import Failed, Skipped, listed
from callsmith.testing.served import compare, dialect_of, good, last_sent, question, served
from callsmith.testing.trial import Trial, Watched

STALLED = 0.5
"""Seconds after which a caller gives up on a server that stalls."""

TRIES = 250
"""How often a good turn is asked for after a bad one, in case the server is still away."""


def _bad_day(day: BadDay) -> Callable[[Trial], Awaitable[None]]:
    async def made(trial: Trial) -> None:
        for streamed in (False, True):
            try:
                await _live_through(trial, day, streamed)
            except Failed as reason:
                raise Failed(f"streamed: {reason}" if streamed else str(reason)) from reason

    return made


async def _live_through(trial: Trial, day: BadDay, streamed: bool) -> None:
    """One bad turn, then good ones."""
    async with served(trial, good, [day]) as (server, backend):
        if day.about_calls and dialect_of(backend) != "native":
            raise Skipped("this server's models make no calls of their own")
        request = question(backend)
        if streamed:
            request = replace(request, on_text=lambda piece: None)
        before = list(server.requests)
        outcome = await _outcome(
            backend, request, STALLED if TimeoutError in day.expected else None
        )
        _check_once(before, server.requests[len(before) :], outcome)
        if not isinstance(outcome, day.expected):
            raise Failed(_told(outcome))
        if isinstance(outcome, Completion):
            compare(outcome, day.alter(good(last_sent(server))))
        elif isinstance(outcome, BackendError):
            one_sentence(outcome)
            if day.waits is not None and isinstance(outcome, Unavailable):
                _check_wait(outcome.retry_after, day.waits)
        for _ in range(TRIES):
            outcome = await _outcome(backend, request, None)
            if not isinstance(outcome, Unavailable):
                break
            await asyncio.sleep(0.02)
        if not isinstance(outcome, Completion):
            raise Failed(f"the good turn afterwards: {_told(outcome)}")
        compare(outcome, good(last_sent(server)))


async def _outcome(
    backend: Watched, request: Request, patience: float | None
) -> Completion | BackendError | TimeoutError:
    try:
        async with asyncio.timeout(patience):
            return await backend.complete(request)
    except (BackendError, TimeoutError) as error:
        return error


def _check_once(before: Sequence[Asked], asked: Sequence[Asked], outcome: object) -> None:
    """Raises Failed for a backend that asks again by itself, which is the rollout's to do.

    But for this: whoever finds a connection closed that lay idle can't know that it was read.
    """
    was_idle = asked[0].connection in {request.connection for request in before}
    if len(asked) == 1 or (len(asked) == 2 and was_idle and isinstance(outcome, Completion)):
        return
    raise Failed(f"it asked {len(asked)} times by itself: that is the rollout's to do")


def _told(outcome: Completion | BackendError | TimeoutError) -> str:
    if isinstance(outcome, Completion):
        return f"complete() gave {outcome.text[:80]!r} with {len(outcome.calls)} calls"
    if isinstance(outcome, TimeoutError):
        return "complete() gave nothing"
    return f"complete() raised {type(outcome).__name__}: {describe(outcome)}"


def _check_wait(given: float | None, wanted: bool) -> None:
    if not wanted and given is not None:
        raise Failed(f"retry_after is {given}, and the server asked for none")
    if wanted and (given is None or not 0 < given <= RETRY_AFTER + 1):
        raise Failed(f"retry_after is {given}, and the server asked for {RETRY_AFTER} s")


_VERBS = {Completion: "gives the turn", TimeoutError: "waits"}


def _name(day: BadDay) -> str:
    ends = (_VERBS.get(kind, f"raises {kind.__name__}") for kind in day.expected)
    return f"when a server {day.name}, complete() {listed(ends, 'or')}"


DAY_CHECKS = {_name(day): _bad_day(day) for day in BAD_DAYS}
