"""Running one call: look up, validate, execute, and say in one sentence what went wrong.

A function runs inline or in a worker process; killing what runs too long is `isolation`'s.
"""

from __future__ import annotations

import asyncio
import copy
import difflib
import inspect
import time
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from callsmith.annotations import BadArgument
from callsmith.chain import JSON, Call, Fault, FaultKind, Result
from callsmith.errors import Unavailable, describe
from callsmith.functions import Context, Function, render_value
from callsmith.values import plain

if TYPE_CHECKING:
    from callsmith.isolation import Workers

MAX_RESULT = 4_000
"""Characters of JSON that a result may have; what is longer is cut, and the model is told."""


class FunctionFault(Exception):
    """A call went wrong in a way that the model should be told; ``kind`` says how."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


async def run_call(
    call: Call, functions: Mapping[str, Function], context: Context, workers: Workers
) -> Result:
    """Run one call to its Result. A model's mistake, or a function's, comes back as a Fault.

    ``context.state`` is replaced by what the function left there, unless it failed. A server that
    is away is nobody's mistake: raises Unavailable where a function in the loop does.
    """
    started = time.perf_counter()
    chosen = functions.get(call.name)
    try:
        if chosen is None:
            raise FunctionFault("unknown_function", unknown_function(call.name, functions))
        wrong = chosen.check(call.arguments)
        if wrong:
            raise FunctionFault("bad_arguments", f"{wrong}. Usage: {chosen.signature}")
        given, left = await _execute(chosen, call.arguments, context, workers)
        value, note = _bounded(_plain(given, chosen, "something"))
        context.state = _plain(left, chosen, "a state")
    except FunctionFault as error:
        fault = Fault(error.kind, str(error))
        return Result(fault=fault, seconds=time.perf_counter() - started)
    if call.expected is not None and not _agrees(value, call.expected):
        note = f"recorded as {call.expected!r}"
    return Result(value, seconds=time.perf_counter() - started, note=note)


async def _execute(
    function: Function, arguments: Mapping[str, JSON], context: Context, workers: Workers
) -> tuple[Any, JSON]:
    if not function.inline and not function.is_async:
        return await workers.run(function, arguments, context)
    # By value, as in a worker: a function that fails halfway leaves the state as it was.
    own = Context(context.problem, copy.deepcopy(context.state))
    limit = None
    try:
        value = function.invoke(arguments, own)
        if inspect.isawaitable(value):
            seconds = None if function.keeps_time else function.timeout
            async with asyncio.timeout(seconds) as limit:
                value = await value
    except (FunctionFault, Unavailable):
        raise
    except BadArgument as error:
        message = f"{function.name}'s {error}. Usage: {function.signature}"
        raise FunctionFault("bad_arguments", message) from error
    except (Exception, SystemExit) as error:
        if limit and limit.expired():
            raise FunctionFault("timeout", timed_out(function)) from error
        raise FunctionFault("function_error", f"{function.name}: {describe(error)}") from error
    return value, own.state


def timed_out(function: Function) -> str:
    return f"{function.name} took longer than {function.timeout:g} s and was stopped"


def unknown_function(name: str, functions: Mapping[str, Function]) -> str:
    name = name[:64]
    close = difflib.get_close_matches(name, functions, n=1)
    meant = f", did you mean {close[0]}?" if close else ","
    return f"there is no function {name!r}{meant} the functions are {', '.join(functions)}"


def _plain(value: object, function: Function, what: str) -> JSON:
    try:
        return plain(value)
    except (ValueError, RecursionError) as error:
        message = f"{function.name} gave {what} that is no JSON value: {describe(error)}"
        raise FunctionFault("bad_result", message) from error


def _bounded(value: JSON) -> tuple[JSON, str]:
    """The value, cut if it is too large, and a note that says so."""
    text = render_value(value)
    if len(text) <= MAX_RESULT:
        return value, ""
    return f"{text[:MAX_RESULT]}… (cut: {len(text):,} characters in all)", "result cut"


def _agrees(value: JSON, expected: JSON) -> bool:
    if isinstance(value, int | float) and isinstance(expected, int | float):
        difference = abs(Fraction(value) - Fraction(expected))  # no float holds every int
        return difference <= Fraction("0.02") + abs(Fraction(expected)) / 10**9
    return bool(value == expected)
