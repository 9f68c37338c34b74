"""Worker processes that run functions under time and memory limits.

Covered: a function that hangs, eats memory, kills its process or leaves children behind takes
down its worker and nothing else, and can't read the environment's secrets. Not covered: this is
no sandbox against hostile code in a function pack. Files and the network stay open, and a child
that makes a session of its own gets away. Memory limits hold on Linux only.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from callsmith.calls import FunctionFault, timed_out
from callsmith.chain import JSON
from callsmith.errors import describe
from callsmith.functionfiles import PREFIX
from callsmith.functions import Context, Function

logger = logging.getLogger(__name__)

IMPORT_LIMIT = 60.0
"""Seconds that a worker may take to start and import a function's module."""

GRACE = 2.0
"""Seconds past a call's limit after which the worker is killed from here, if it still lives."""

INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
# The hash seed is fixed so that a function whose result depends on the order of a set gives the
# same one in every worker; one thread, because workers are as many as cores are wanted.
FIXED = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}


class Workers:
    """A pool of at most ``size`` warm worker processes, for the length of a rollout.

    Use it as ``async with Workers() as workers``, or call `close` in the end. Workers start when
    they are first needed, and die with this process however it ends.
    """

    def __init__(self, size: int = 2) -> None:
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Worker] = []
        self._started: list[_Worker] = []
        self._warned: set[str] = set()

    async def run(
        self, function: Function, arguments: Mapping[str, JSON], context: Context
    ) -> tuple[Any, JSON]:
        """Call the function in a worker with checked arguments; gives its value and its state.

        Problem, state and arguments go by value. Raises FunctionFault: ``timeout``, ``memory``,
        ``crash``, ``bad_result``, or ``function_error`` with what the function itself raised.

        A function that no worker can import (one written in a notebook) runs in a thread of this
        process, where callsmith can stop waiting for it but not stop it; the log says so once.
        """
        async with self._slots:
            address = _address(function)
            if not address:
                missing = "it is not at the top level of a module"
                return await self._run_here(function, arguments, context, missing)
            worker = self._take()
            try:
                missing = await worker.load(function, address)
                reply = {} if missing else await worker.call(function, address, arguments, context)
            except BaseException:
                # Also when cancelled: a worker in mid-call is of no use to the next one.
                worker.kill()
                raise
            if reply.get("fault") == "memory":
                worker.kill()
            else:
                self._idle.append(worker)
            if missing:
                return await self._run_here(function, arguments, context, missing)
        if "fault" in reply:
            raise FunctionFault(reply["fault"], f"{function.name}{reply['message']}")
        return reply["value"], reply["state"]

    async def close(self) -> None:
        """Kill all workers with their children, and wait until they are gone."""
        for worker in self._started:
            worker.kill()
        for worker in self._started:
            await worker.ended()
        self._started.clear()
        self._idle.clear()

    async def __aenter__(self) -> Workers:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _take(self) -> _Worker:
        """A worker that lives: the one used last, which has the most imported, or a new one."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            worker.kill()
        self._started = [worker for worker in self._started if not worker.is_gone()]
        self._started.append(_Worker())
        return self._started[-1]

    async def _run_here(
        self, function: Function, arguments: Mapping[str, JSON], context: Context, reason: str
    ) -> tuple[Any, JSON]:
        if function.qualified_name not in self._warned:
            self._warned.add(function.qualified_name)
            logger.warning(
                "%s runs in this process, where it can't be stopped: %s. Put it in a module that "
                "can be imported, or say inline=True if it is cheap and bounded",
                function.qualified_name,
                reason,
            )
        own = Context(context.problem.hidden(), copy.deepcopy(context.state))
        outcome: Future[tuple[Any, BaseException | None]] = Future()

        def work() -> None:
            outcome.set_running_or_notify_cancel()
            try:
                outcome.set_result((function.invoke(arguments, own), None))
            except BaseException as error:
                outcome.set_result((None, error))

        # A daemon thread, not the loop's pool: a call that never ends must not keep the program.
        threading.Thread(target=work, daemon=True).start()
        try:
            async with asyncio.timeout(function.timeout):
                value, error = await asyncio.wrap_future(outcome)
        except TimeoutError:
            raise FunctionFault("timeout", timed_out(function)) from None
        if error:
            raise FunctionFault("function_error", f"{function.name}: {describe(error)}") from error
        return value, own.state


def _address(function: Function) -> str:
    """``module:qualname`` if a worker finds this very function there, else nothing."""
    target = function.target
    module = getattr(target, "__module__", None) or "__main__"
    qualname = getattr(target, "__qualname__", "")
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    same = found is target or (isinstance(found, Function) and found.target is target)
    return f"{module}:{qualname}" if same else ""


def _plain_file(address: str) -> str:
    """The file of a module that is no part of a package, which is imported by its path."""
    module = address.partition(":")[0]
    return str(sys.modules[module].__file__) if module.startswith(PREFIX) else ""


class _Crashed(Exception):
    """The worker died; the message is the end of a sentence about what it was doing."""


class _Worker:
    """One worker process, the socket to it, and what it was asked to import so far."""

    def __init__(self) -> None:
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=kept | FIXED,
                start_new_session=True,
            )
        self._missing: dict[str, str] = {}
        self._busy = False
        self._killed = False

    def is_alive(self) -> bool:
        # Asking the process itself would reap it, and its group must be killed before that.
        try:
            return self._socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def is_gone(self) -> bool:
        return self._killed and self._process.poll() is not None

    def kill(self) -> None:
        """Kill the process and its whole group; an exchange under way ends with _Crashed."""
        if not self._killed:
            self._killed = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            if not self._busy:
                self._socket.close()

    async def ended(self) -> int:
        """Wait until the killed process is gone; gives its status, negative for a signal."""
        while (status := self._process.poll()) is None:
            await asyncio.sleep(0.002)
        return status

    async def load(self, function: Function, address: str) -> str:
        """Have the function imported; gives why it can't be, or nothing."""
        if address not in self._missing:
            path = [str(Path(entry).absolute()) for entry in sys.path]
            request = {"address": address, "path": path, "file": _plain_file(address)}
            try:
                reply = await self._exchange(request, IMPORT_LIMIT)
            except TimeoutError:
                message = f"{function.name} can't be used: its import took over {IMPORT_LIMIT:g} s"
                raise FunctionFault("timeout", message) from None
            except _Crashed as error:
                message = f"{function.name} can't be used: its import {error}"
                raise FunctionFault("crash", message) from None
            self._missing[address] = reply.get("missing", "")
        return self._missing[address]

    async def call(
        self, function: Function, address: str, arguments: Mapping[str, JSON], context: Context
    ) -> dict[str, Any]:
        """The worker's reply: ``value`` and ``state``, or ``fault`` and ``message``."""
        problem = context.problem
        request = {
            "address": address,
            "arguments": arguments,
            "problem": {"question": problem.question, "context": problem.context, "id": problem.id},
            "state": context.state,
            "timeout": function.timeout,
            "memory_mb": function.memory_mb,
        }
        try:
            return await self._exchange(request, function.timeout + GRACE)
        except TimeoutError:
            raise FunctionFault("timeout", timed_out(function)) from None
        except _Crashed as error:
            raise FunctionFault("crash", f"{function.name} {error}") from None
        except (TypeError, ValueError, RecursionError) as error:
            message = f"{function.name} can't be given these values: {describe(error)}"
            raise FunctionFault("bad_arguments", message) from error

    async def _exchange(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The reply to a request. Raises TimeoutError or _Crashed, and the worker is dead then."""
        loop = asyncio.get_running_loop()
        line = json.dumps(request).encode() + b"\n"
        reply = bytearray()
        self._busy = True
        try:
            async with asyncio.timeout(limit):
                await loop.sock_sendall(self._socket, line)
                while not reply.endswith(b"\n"):
                    received = await loop.sock_recv(self._socket, 1 << 16)
                    if not received:
                        raise ConnectionResetError
                    reply += received
        except ConnectionError:
            self.kill()
            status = await self.ended()
            if status == -signal.SIGALRM:
                raise TimeoutError from None
            raise _Crashed(_describe_status(status)) from None
        finally:
            self._busy = False
            if self._killed:
                self._socket.close()
        answer: dict[str, Any] = json.loads(reply)
        return answer


def _describe_status(status: int) -> str:
    if status >= 0:
        return f"ended its process with status {status}"
    return f"crashed its process ({signal.Signals(-status).name})"
