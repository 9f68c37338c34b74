"""What holds for a backend with a working model, small and weak as that may be.

Each check is named by the sentence that should hold. They ask for short turns, about two hundred
in all, and never for a good one: where the model did not do what a check needs, it is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from callsmith.backends import Completion, Request
from callsmith.chain import Dialect
from callsmith.errors import (
    BackendError,
    CallsmithError,
    ContextOverflow,
    ModelFault,
    Rejected,
    describe,
)
from callsmith.testing.asking import (
    ADD,
    MANY,
    PROBLEM,
    STEPS,
    UNKNOWN,
    ask,
    one_sentence,
    prompt_of,
)
from callsmith.testing.report import Failed, Skipped
from callsmith.testing.trial import Trial

ModelCheck: TypeAlias = Callable[[Trial], Awaitable[None]]

MODEL_CHECKS: dict[str, ModelCheck] = {}

TRIES = 8
"""How many seeds get a chance to do what a check needs."""


def check(name: str) -> Callable[[ModelCheck], ModelCheck]:
    """Add a check under the sentence that should hold."""

    def add_it(made: ModelCheck) -> ModelCheck:
        MODEL_CHECKS[name] = made
        return made

    return add_it


# ---- one turn -----------------------------------------------------------------------------------


@check("a turn has text or calls, says why it ended, and counts its tokens")
async def _(trial: Trial) -> None:
    async for turn in turns(trial, ask(max_tokens=64)):
        if not (turn.text or turn.calls or turn.reasoning):
            continue
        if not turn.finish:
            raise Failed("its finish is empty")
        if turn.usage.prompt < 1 or turn.usage.completion < 1:
            raise Failed(
                f"{turn.usage.prompt} prompt and {turn.usage.completion} completion tokens were "
                "counted"
            )
        return
    raise Failed(f"{TRIES} turns had neither text nor calls")


@check('max_tokens is kept, and a turn that it cuts off ends by "length"')
async def _(trial: Trial) -> None:
    used = []
    async for turn in turns(trial, ask(max_tokens=2)):
        if turn.usage.completion > 2:
            raise Failed(f"a turn of at most 2 tokens has {turn.usage.completion}")
        if turn.finish == "length":
            return
        used.append((turn.usage.completion, turn.finish))
    if all(tokens < 2 for tokens, _ in used):
        raise Skipped(f"the model ended each of {TRIES} turns before that")
    raise Failed(f"a turn that was cut off ends by {max(used)[1]!r}")


@check("a stop string ends the turn, and is not in its text")
async def _(trial: Trial) -> None:
    request, turn = await written(trial, max_tokens=64)
    text = turn.text
    for at in range(len(text) // 2, len(text) - 1):
        stop = text[at : at + 2]
        if stop.strip() == stop and text.find(stop) > 0:
            break
    else:
        raise Skipped(f"the model wrote nothing that could be stopped within: {text[:80]!r}")
    sampling = replace(request.sampling, stop=(stop,))
    stopped = await complete(trial, replace(request, sampling=sampling))
    if stop in stopped.text:
        raise Failed(f"{stop!r} is in {stopped.text[:200]!r}")


@check("the same seed gives the same text, and other seeds give others")
async def _(trial: Trial) -> None:
    if not trial.subject.capabilities.samples:
        raise Skipped("it does not sample")
    texts = [turn.text async for turn in turns(trial, ask())]
    again = [turn.text async for turn in turns(trial, ask())]
    if texts != again:
        at = next(at for at, text in enumerate(texts) if text != again[at])
        raise Failed(f"seed {at} gave {texts[at][:80]!r} and then {again[at][:80]!r}")
    if len(set(texts)) == 1:
        raise Failed(f"{TRIES} seeds at temperature 1 all gave {texts[0][:80]!r}")


@check("temperature 0 gives the same text again, whatever the seed")
async def _(trial: Trial) -> None:
    texts = [(await complete(trial, ask(temperature=0.0, seed=seed))).text for seed in range(3)]
    for text in texts:
        if text != texts[0]:
            raise Failed(f"it gave {texts[0][:80]!r} and then {text[:80]!r}")


@check("the pieces of a streamed turn add up to the text that it has when it is not streamed")
async def _(trial: Trial) -> None:
    request, turn = await written(trial)
    pieces: list[str] = []
    streamed = await complete(trial, replace(request, on_text=pieces.append))
    if not pieces:
        raise Skipped("it does not stream")
    if "".join(pieces) != streamed.text:
        raise Failed(f"they are {''.join(pieces)[:80]!r}, the text is {streamed.text[:80]!r}")
    if streamed.text != turn.text:
        raise Failed(f"streamed it is {streamed.text[:80]!r}, otherwise {turn.text[:80]!r}")


# ---- calls --------------------------------------------------------------------------------------


def needs_dialect(trial: Trial, dialect: Dialect) -> None:
    if dialect not in trial.subject.capabilities.dialects:
        raise Skipped(f"it does not write the {dialect} dialect")


@check("calls that the server tells apart have objects of arguments")
async def _(trial: Trial) -> None:
    needs_dialect(trial, "native")
    prompt = prompt_of("native")
    request = ask(prompt.conversation(PROBLEM), max_tokens=96)
    found = [
        call
        async for turn in turns(trial, replace(request, tools=prompt.tools))
        for call in turn.calls
    ]
    if not found:
        raise Skipped(f"the model made no call in {TRIES} turns")
    for call in found:
        if not isinstance(call.arguments, Mapping):
            raise Failed(f"those of {call.name} are a {type(call.arguments).__name__}")
        if not isinstance(call.id, str):
            raise Failed(f"the id of {call.name} is {call.id!r}, and must be a text")


def _conversation(dialect: Dialect) -> ModelCheck:
    async def made(trial: Trial) -> None:
        needs_dialect(trial, dialect)
        prompt = replace(prompt_of(dialect), tool_role=trial.subject.capabilities.tool_role)
        for count in range(1, len(STEPS) + 1):
            messages = prompt.conversation(PROBLEM, STEPS[:count], "native")
            request = replace(ask(messages), tools=prompt.tools, steps=STEPS[:count])
            await complete(trial, request)

    return made


def _constrained(dialect: Dialect) -> ModelCheck:
    async def made(trial: Trial) -> None:
        if dialect not in trial.subject.capabilities.constrains:
            raise Skipped(f"it can't hold a model to valid calls in the {dialect} dialect")
        prompt = prompt_of(dialect, constrained=True)
        request = ask(prompt.conversation(PROBLEM), max_tokens=128)
        whole = 0
        async for turn in turns(trial, replace(request, constraint=prompt.constraint)):
            calls, fault = prompt.read(turn)
            if turn.finish == "length" and fault:
                continue
            whole += 1
            valid = [call for call in calls if call.name == "add" and not ADD.check(call.arguments)]
            if fault or len(calls) != 1 or not valid:
                raise Failed(f"the model could write {turn.text[:200]!r}")
        if not whole:
            raise Skipped(f"each of {TRIES} turns was cut off before it was whole")

    return made


_DIALECTS: tuple[Dialect, ...] = ("native", "text", "json")
for _dialect in _DIALECTS:
    check(f"a conversation of calls, results and faults is answered in the {_dialect} dialect")(
        _conversation(_dialect)
    )
for _dialect in ("json", "text"):
    check(f"a turn held to valid calls is one, in the {_dialect} dialect")(_constrained(_dialect))


# ---- many, and what goes wrong ------------------------------------------------------------------


@check(f"{MANY} requests at once each get their own answer")
async def _(trial: Trial) -> None:
    # Each is longer than the one before, so that their token counts tell them apart.
    requests = [ask(f"Say {n}" + ", please" * n, temperature=0.0) for n in range(MANY)]
    together = await asyncio.gather(*(complete(trial, request) for request in requests))
    some = range(0, MANY, 8)
    alone = [await complete(trial, requests[at]) for at in some]
    for at, turn in zip(some, alone, strict=True):
        if turn.usage.prompt != together[at].usage.prompt:
            raise Failed(
                f"request {at} has {turn.usage.prompt} prompt tokens alone, and "
                f"{together[at].usage.prompt} among {MANY}"
            )
    # Servers that compute in batches may round otherwise in company: now and then, not mostly.
    same = sum(turn.text == together[at].text for at, turn in zip(some, alone, strict=True))
    if same <= len(some) // 2:
        raise Failed(f"only {same} of {len(some)} have the text that they have when alone")


@check("an unknown model is Rejected before the first request, in one sentence that names it")
async def _(trial: Trial) -> None:
    name = f"{UNKNOWN}@{trial.url}" if trial.url else UNKNOWN
    try:
        async with trial.opened(name):
            raise Failed("it was opened and prepared")
    except Rejected as error:
        one_sentence(error, UNKNOWN)


@check("a conversation longer than the context is a ContextOverflow")
async def _(trial: Trial) -> None:
    context = trial.subject.capabilities.context
    if not context:
        raise Skipped("its context is not known")
    long = " ".join(str(n % 10) for n in range(context + 100))
    try:
        await trial.subject.complete(ask(long))
    except ContextOverflow as error:
        return one_sentence(error)
    except CallsmithError as error:
        raise Failed(f"it is {type(error).__name__}: {describe(error)}") from error
    raise Failed(f"one of more than {context:,} tokens was answered")


@check("a request that makes no sense gets a BackendError, or an answer")
async def _(trial: Trial) -> None:
    senseless = [
        ask([]),
        ask([{"role": "nobody", "content": "Hello."}]),
        ask([{"role": "tool", "content": "3", "tool_call_id": "none"}]),
        ask(temperature=-5.0),
    ]
    for request in senseless:
        try:
            await trial.subject.complete(request)
        except BackendError as error:
            one_sentence(error)


# Last, since whom this breaks it breaks for good.
@check("a request that is cancelled ends, and leaves the backend usable")
async def _(trial: Trial) -> None:
    was_cancelled = False
    for wait in (0.0, 0.05):
        task = asyncio.ensure_future(trial.subject.complete(ask(max_tokens=256)))
        await asyncio.sleep(wait)
        in_flight = task.cancel()
        await asyncio.wait({task}, timeout=10)
        if not task.done():
            raise Failed("it goes on in spite of being cancelled")
        if in_flight and not task.cancelled():
            raise Failed(f"it ended by {task.exception() or task.result()!r}, not CancelledError")
        was_cancelled |= in_flight
    if not was_cancelled:
        raise Skipped("its turns are over before they can be cancelled")
    await complete(trial, ask())


# ---- what checks are made of --------------------------------------------------------------------


async def complete(trial: Trial, request: Request) -> Completion:
    """The turn. A model's mistake is one as well."""
    try:
        return await trial.subject.complete(request)
    except ModelFault as error:
        return replace(error.turn or Completion(), finish="fault")
    except BackendError as error:
        raise Failed(f"it raised {type(error).__name__}: {describe(error)}") from error


async def turns(trial: Trial, request: Request) -> AsyncIterator[Completion]:
    """Turns for several seeds, one after another."""
    for seed in range(TRIES):
        yield await complete(trial, replace(request, seed=seed))


async def written(trial: Trial, max_tokens: int = 32) -> tuple[Request, Completion]:
    """A request that gets the same text each time it is made, and the turn with that text."""
    for temperature, seed in [(0.0, 0), *((1.0, seed) for seed in range(TRIES))]:
        request = ask(seed=seed, temperature=temperature, max_tokens=max_tokens)
        turn = await complete(trial, request)
        if turn.text.strip() and turn.finish != "fault":
            return request, turn
    raise Skipped(f"the model wrote nothing in {TRIES + 1} turns")
