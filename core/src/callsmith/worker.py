"""What runs inside a worker process. `isolation` starts this file as a script and talks with it.

Requests and replies are lines of JSON on the socket that the process is given as its standard
input; no pickle, so nothing but data crosses. Until the first request names the import path, only
the standard library is used.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith.functions import Function

MAX_REPLY = 1_000_000
"""Characters of JSON that a value, or a state, may have on its way back."""

_loaded: dict[str, Function] = {}


def main() -> None:
    """Answer requests until the other end closes."""
    connection = socket.socket(fileno=os.dup(0))
    # A function that reads its standard input must not eat the protocol, nor may a child that it
    # forks keep the socket open: the other end sees that this process died by its closing.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.register_at_fork(after_in_child=connection.close)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    threading.Thread(target=_die_with_parent, args=(connection,), daemon=True).start()
    for line in connection.makefile("rb"):
        request = json.loads(line)
        reply = _load(**request) if "path" in request else _call(**request)
        connection.sendall(reply.encode() + b"\n")


def _die_with_parent(connection: socket.socket) -> None:
    """Kill this process and its children once the other end is gone, even in mid-call."""
    hangup = select.poll()
    hangup.register(connection, 0)
    hangup.poll()
    os.killpg(0, signal.SIGKILL)


def _load(address: str, path: list[str], file: str) -> str:
    """Import a function ahead of its first call, whose time limit this must not use up.

    ``file`` is where its module is, if that is no part of a package.
    """
    sys.path[:] = path
    module, _, qualname = address.partition(":")
    try:
        from callsmith.functionfiles import import_file
        from callsmith.functions import Function, function

        if file:
            import_file(Path(file), module)
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        _loaded[address] = found if isinstance(found, Function) else function(found)
    except BaseException as error:
        return json.dumps({"missing": f"{type(error).__name__}: {error}"})
    return "{}"


def _call(
    address: str,
    arguments: dict[str, Any],
    problem: dict[str, Any],
    state: Any,
    timeout: float,
    memory_mb: int | None,
) -> str:
    from callsmith.annotations import BadArgument
    from callsmith.chain import Problem
    from callsmith.errors import describe
    from callsmith.functions import Context

    context = Context(Problem(**problem), state)
    # The kernel ends this process when the time is up, also where Python would get no turn to.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    release = _limit_memory(memory_mb)
    try:
        value = _encode(_loaded[address].invoke(arguments, context), "something")
        return f'{{"value": {value}, "state": {_encode(context.state, "a state")}}}'
    except _BadResult as error:
        return _fault("bad_result", f" {error}")
    except BadArgument as error:
        return _fault("bad_arguments", f"'s {error}. Usage: {_loaded[address].signature}")
    except MemoryError:
        return _fault("memory", f" needed more than {memory_mb} MiB of memory and was stopped")
    except BaseException as error:
        return _fault("function_error", f": {describe(error)}")
    finally:
        release()
        signal.setitimer(signal.ITIMER_REAL, 0)


class _BadResult(Exception):
    """The value or the state can't go back."""


def _encode(value: Any, what: str) -> str:
    from callsmith.errors import describe
    from callsmith.values import INFINITE

    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        why = INFINITE if "Out of range float" in str(error) else describe(error)
        raise _BadResult(f"gave {what} that is no JSON value: {why}") from error
    if len(text) > MAX_REPLY:
        raise _BadResult(f"gave {what} of {len(text):,} characters, over {MAX_REPLY:,}")
    return text


def _fault(kind: str, message: str) -> str:
    """``message`` is the end of a sentence that begins with the function's name."""
    return json.dumps({"fault": kind, "message": message})


def _limit_memory(memory_mb: int | None) -> Callable[[], None]:
    """Let the process grow by ``memory_mb`` MiB from now on; gives what lifts the limit again.

    The limit is on address space, which libraries reserve freely when they are imported: so it
    counts from what is there when the call begins.
    """
    if memory_mb is None or sys.platform != "linux":
        return lambda: None
    import resource

    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - the quick way, on every call
        present = int(statm.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = present + memory_mb * 2**20
    for limit in (soft, hard):
        if limit != resource.RLIM_INFINITY:
            allowed = min(allowed, limit)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    main()
