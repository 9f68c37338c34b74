"""The bad days of servers: what real ones do, each as a `BadDay` that a `FaultServer` plays.

``docs/servers.md`` has a row for each of them. Who meets another one adds it here and there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from callsmith.backends import Completion
from callsmith.errors import ContextOverflow, ModelFault, RateLimited, Rejected, Unavailable
from callsmith.testing.faults import BadDay, Exchange

RETRY_AFTER = 1
"""Seconds that a server asks for, where it says how long to wait."""

AWAY = 0.2
"""Seconds for which a server is away."""

MEGABYTE = "All work and no play makes Jack a dull boy.\n" * 23_000


def page(title: str) -> str:
    """What proxies and web sites answer with."""
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body>{title}</body></html>"
    )


# ---- refusals -----------------------------------------------------------------------------------


def refuse(
    status: int, message: str, retry_after: str = ""
) -> Callable[[Exchange], Awaitable[None]]:
    async def play(x: Exchange) -> None:
        headers = {"Retry-After": retry_after} if retry_after else {}
        await x.refuse(status, x.wire.error(status, message), headers)

    return play


async def refuse_until_a_date(x: Exchange) -> None:
    # Dates count whole seconds: one more, so that there is always something left to wait for.
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=RETRY_AFTER + 1), usegmt=True)
    await refuse(429, "too many requests", date)(x)


async def bad_gateway(x: Exchange) -> None:
    await x.refuse(502, page("502 Bad Gateway"))


async def refuse_the_key(x: Exchange) -> None:
    key = x.asked.headers.get("authorization", "").removeprefix("Bearer ")
    await refuse(401, f"Incorrect API key provided: {key}")(x)


# ---- connections --------------------------------------------------------------------------------


async def reset_before(x: Exchange) -> None:
    x.reset()


async def reset_within(x: Exchange) -> None:
    whole = x.response()
    await x.send(whole[: len(whole) * 2 // 3])
    await asyncio.sleep(0.05)  # a reset takes back what was not read yet: let some of it be read
    x.reset()


async def reset_after(x: Exchange) -> None:
    await x.send(x.response())
    x.reset()


async def close_without_answer(x: Exchange) -> None:
    x.close()


async def close_after(x: Exchange) -> None:
    await x.send(x.response(headers={"Connection": "keep-alive"}))
    x.close()


async def stall_before(x: Exchange) -> None:
    await x.hold()


async def stall_within(x: Exchange) -> None:
    whole = x.response()
    await x.send(whole[: len(whole) * 2 // 3])
    await x.hold()


async def go_away(x: Exchange) -> None:
    x.server.leave()
    x.server.later(AWAY, x.server.listen)


# ---- bodies -------------------------------------------------------------------------------------


async def answer(x: Exchange) -> None:
    await x.send(x.response())


async def answer_in_tiny_pieces(x: Exchange) -> None:
    whole = x.response(chunk=3)
    for at in range(0, len(whole), 5):
        await x.send(whole[at : at + 5])
        await asyncio.sleep(0)


async def cut_off(x: Exchange) -> None:
    await x.send(x.response(x.content[: len(x.content) * 2 // 3]))


async def end_early(x: Exchange) -> None:
    if x.streamed:
        frames = x.wire.frames(x.good)
        return await x.send(x.response(b"".join(frames[: len(frames) // 2])))
    await x.send(x.response()[:-20])
    x.close()


async def answer_with_a_page(x: Exchange) -> None:
    await x.refuse(200, page("Welcome to our network"))


async def error_inside(x: Exchange) -> None:
    error = x.wire.error(500, "the model runner has unexpectedly stopped")
    if not x.streamed:
        return await x.refuse(200, error)
    frames = x.wire.frames(x.good)
    await x.send(x.response(b"".join([*frames[: len(frames) // 2], x.wire.frame(error)])))


async def answer_without_turn(x: Exchange) -> None:
    if not x.streamed:
        return await x.refuse(200, x.wire.without_turn())
    await x.send(x.response(x.wire.frame(x.wire.without_turn())))


async def unreadable_call(x: Exchange) -> None:
    status, content = x.wire.unreadable_call(x.streamed)
    await x.send(x.response(content, status))


def nothing(turn: Completion) -> Completion:
    return replace(turn, text="", calls=(), reasoning="", finish="stop")


def one_id(turn: Completion) -> Completion:
    return replace(turn, calls=tuple(replace(call, id="call_1") for call in turn.calls))


def a_megabyte(turn: Completion) -> Completion:
    return replace(turn, text=MEGABYTE)


ANSWERED = (Completion,)
RETRIED = (Unavailable,)
STALLED = (TimeoutError,)

BAD_DAYS = (
    BadDay(
        "answers 429 with Retry-After in seconds",
        refuse(429, "too many requests", str(RETRY_AFTER)),
        (RateLimited,),
        waits=True,
    ),
    BadDay(
        "answers 429 with Retry-After as a date", refuse_until_a_date, (RateLimited,), waits=True
    ),
    BadDay(
        "answers 429 without Retry-After",
        refuse(429, "too many requests"),
        (RateLimited,),
        waits=False,
    ),
    BadDay("answers 500", refuse(500, "something went wrong"), RETRIED),
    BadDay("answers 502 with a page of HTML", bad_gateway, RETRIED),
    BadDay(
        "answers 503 while it loads the model",
        refuse(503, "Loading model", str(RETRY_AFTER)),
        RETRIED,
        waits=True,
    ),
    BadDay("goes away and comes back", go_away, RETRIED),
    BadDay("resets the connection before the answer", reset_before, RETRIED + ANSWERED),
    BadDay("resets the connection within the answer", reset_within, RETRIED),
    BadDay("resets the connection after the answer", reset_after, RETRIED + ANSWERED),
    BadDay("closes the connection without an answer", close_without_answer, RETRIED + ANSWERED),
    BadDay("closes a connection that it had kept open", close_after, ANSWERED),
    BadDay("stalls before the answer", stall_before, STALLED),
    BadDay("stalls within the answer", stall_within, STALLED),
    BadDay("ends the answer too early", end_early, RETRIED),
    BadDay("cuts off the JSON", cut_off, RETRIED),
    BadDay("answers 200 with a page of HTML", answer_with_a_page, RETRIED),
    BadDay("answers 200 with an error inside", error_inside, RETRIED),
    BadDay("answers without a turn", answer_without_turn, RETRIED),
    BadDay("answers with an empty turn", answer, (ModelFault, Completion), alter=nothing),
    BadDay("can't read the model's call", unreadable_call, (ModelFault,), about_calls=True),
    BadDay("gives two calls the same id", answer, ANSWERED, alter=one_id, about_calls=True),
    BadDay("answers in tiny pieces", answer_in_tiny_pieces, ANSWERED),
    BadDay("answers with a megabyte", answer, ANSWERED, alter=a_megabyte),
    BadDay(
        "finds the conversation too long",
        refuse(400, "the request exceeds the model's context length of 4096 tokens"),
        (ContextOverflow,),
    ),
    BadDay("refuses the key", refuse_the_key, (Rejected,)),
    BadDay("refuses the request", refuse(400, "top_p must be above 0"), (Rejected,)),
    BadDay("no longer has the model", refuse(404, "model 'tiny' not found"), (Rejected,)),
)
"""In the order of the table in ``docs/servers.md``."""
