"""Calling functions with what nobody would, and looking at what comes back.

Every call goes the way that a model's goes. Inline functions are run in worker processes here,
since nothing else could stop one that is not as cheap as it says.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from callsmith.calls import run_call
from callsmith.chain import JSON, Call, Fault, Result
from callsmith.functions import Context, Example, Function, format_call
from callsmith.isolation import Workers
from callsmith.testing.samples import Sampler, Unmade
from callsmith.values import INFINITE

Progress = Callable[[str, int, int], None]
"""Told what is being tried, how many calls are done, and how many there will be."""

INLINE_LIMIT = 5.0
"""Seconds in which an inline function must be done with anything: it holds up all other chains."""

TWICE = 20
"""Of so many valid calls, one is made twice."""

MAX_STOPPED = 0.02
"""The share of an isolated function's valid calls that may end at its limits."""

ALLOWED = ("function_error", "bad_arguments", "bad_result")
"""Faults that a valid call may end in, if they say what to do."""

ENOUGH = 3
"""Calls that break a function, after which it is not called again."""

INTERNAL = re.compile(
    r"Traceback|File \"|object at 0x|NoneType|has no attribute|not subscriptable|not iterable"
    r"|not callable|not hashable|unhashable|unsupported operand|index out of range"
    r"|recursion depth|unexpected keyword|positional argument|invalid literal for"
    r"|could not convert string|not supported between|must be real number|math domain error"
    r"|math range error|values to unpack|No module named|set_int_max_str_digits|validation error"
    r"|referenced before assignment|not associated with a value|codec can't"
)
"""What Python and its libraries say to programmers."""


@dataclass
class Fuzzed:
    """What one function did: how often it was called, and what was wrong, a sentence each."""

    wanted: int
    valid: int = 0
    invalid: int = 0
    stopped: int = 0
    broken: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    unhelpful: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    unmade: str = ""

    @property
    def stopped_too_often(self) -> bool:
        return self.stopped > max(2, MAX_STOPPED * self.wanted)

    @property
    def given_up(self) -> bool:
        """Whether enough is known: each call that breaks a function costs a process, or a wait."""
        return len(self.broken) >= ENOUGH or self.stopped_too_often


@dataclass(frozen=True)
class _Attempt:
    """One call to make; ``wrong`` names the argument that is invalid, if one is."""

    function: Function
    inline: bool
    arguments: Mapping[str, JSON]
    example: Example
    wrong: str | None = None
    again: bool = False

    @property
    def shown(self) -> str:
        text = format_call(Call(self.function.name, self.arguments), self.function)
        return text if len(text) <= 120 else f"{text[:100]}… ({len(text):,} characters)"


async def fuzz(
    functions: Sequence[Function], count: int, seed: int, progress: Progress
) -> dict[str, Fuzzed]:
    """Call each function with ``count`` valid and ``count`` invalid argument sets.

    The calls are the same for the same seed, functions and examples.
    """
    found = {function.name: Fuzzed(count) for function in functions}
    coming = _attempts(functions, count, seed, found)
    total, done = 2 * count * len(functions), 0

    async def consume(workers: Workers) -> None:
        nonlocal done
        for attempt in coming:
            if not found[attempt.function.name].given_up:
                await _try(attempt, found[attempt.function.name], workers)
            done += 1
            progress(attempt.function.qualified_name, done, total)

    size = min(os.cpu_count() or 1, 8)
    async with Workers(size) as workers:
        await asyncio.gather(*(consume(workers) for _ in range(size)))
    return found


def guarded(function: Function) -> Function:
    """The function, in a worker process if it would run inline."""
    if not function.inline or inspect.iscoroutinefunction(function.target):
        return function
    return replace(function, inline=False, timeout=INLINE_LIMIT)


async def outcome(
    function: Function, arguments: Mapping[str, JSON], example: Example, workers: Workers
) -> tuple[Result, JSON]:
    """The result of a call with the problem and state of an example, and the state it leaves."""
    context = Context(example.problem.hidden(), example.state)
    call = Call(function.name, arguments)
    result = await run_call(call, {function.name: function}, context, workers)
    return result, context.state


def unhelpful(fault: Fault) -> str:
    """What is wrong with a fault's message, if anything."""
    _, _, said = fault.message.partition(": ")
    if fault.kind == "function_error" and " " not in said.strip():
        return "says too little"
    if fault.kind == "function_error" and INTERNAL.search(said):
        return "speaks of the function's inside"
    return ""


def _attempts(
    functions: Sequence[Function], count: int, seed: int, found: Mapping[str, Fuzzed]
) -> Iterator[_Attempt]:
    for original in functions:
        function, inline = guarded(original), original.inline
        sampler = Sampler(function, functions, seed)
        try:
            for number in range(count):
                yield _Attempt(
                    function, original.inline, *sampler.valid(), again=not number % TWICE
                )
            for _ in range(count):
                arguments, wrong = sampler.invalid()
                yield _Attempt(function, inline, arguments, Example({}), wrong)
        except Unmade as reason:
            found[original.name].unmade = str(reason)


async def _try(attempt: _Attempt, found: Fuzzed, workers: Workers) -> None:
    function, shown = attempt.function, attempt.shown
    result, state = await outcome(function, attempt.arguments, attempt.example, workers)
    fault = result.fault
    if attempt.wrong is not None:
        found.invalid += 1
        if fault is None or fault.kind != "bad_arguments":
            found.broken.append(f"{shown} was not refused")
        elif attempt.wrong not in fault.message:
            found.unhelpful.append(
                f"{shown} is answered without {attempt.wrong!r}: {fault.message}"
            )
        return
    found.valid += 1
    if fault is not None and fault.kind in ("timeout", "memory"):
        found.stopped += 1
        if attempt.inline:
            # Once more: a machine that is busy is not the function's fault.
            result, _ = await outcome(function, attempt.arguments, attempt.example, workers)
            if result.fault is not None and result.fault.kind == fault.kind:
                found.broken += [f"{shown} ended in {fault.kind}, and it is inline"] * ENOUGH
    elif fault is not None and fault.kind == "bad_result" and INFINITE not in fault.message:
        # What is infinite is no mistake of the function: the arguments were too large.
        found.unfit.append(f"{shown}: {fault.message}")
    elif fault is not None and fault.kind not in ALLOWED:
        # What fits the schema may be none of its type all the same: a text that is no date.
        found.broken.append(f"{shown} ended in {fault.kind}: {fault.message}")
    elif fault is not None and (wrong := unhelpful(fault)):
        found.unhelpful.append(f"{shown} is answered with what {wrong}: {fault.message}")
    elif attempt.again:
        other, other_state = await outcome(function, attempt.arguments, attempt.example, workers)
        if (other.value, other.fault, other_state) != (result.value, result.fault, state):
            found.unsteady.append(f"{shown} gave two different results")
