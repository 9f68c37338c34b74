"""A backend on trial: opened, watched, closed, and looked after."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from callsmith.backends import Backend, Capabilities, Completion, Request, split_url
from callsmith.errors import BackendError, describe
from callsmith.testing.report import Failed, Skipped, listed
from callsmith.testing.wires import Wire

T = TypeVar("T")

SETTLE = 5.0
"""Seconds that tasks and sockets have to end after everything is closed."""


class Trial:
    """One backend on trial: opens it, watches what comes out of it, closes it, and looks after it.

    ``backend`` is the one that the checks with a model share; ``kept`` all that were opened, held
    on to so that nothing is closed by being forgotten.
    """

    def __init__(
        self, open_backend: Callable[[str], Backend], model: str, wire: Wire | None, secret: str
    ) -> None:
        self.open_backend = open_backend
        self.spec = model
        self.model, self.url = split_url(model)
        self.maybe_wire = wire
        self.secret = secret
        self.backend: Watched | None = None
        self.kept: list[Backend] = []
        self.secret_was_sent = False
        self._shown: list[tuple[str, str]] = []
        self._closing: list[str] = []
        self._tasks = asyncio.all_tasks()
        self._sockets = open_sockets()

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.kept[0].name if self.kept else self.spec

    @property
    def subject(self) -> Watched:
        """The backend of the working model."""
        assert self.backend, "no model is open"
        return self.backend

    @property
    def wire(self) -> Wire:
        assert self.maybe_wire, "no wire was given"
        return self.maybe_wire

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Watched]:
        """The backend of this name, prepared; closed twice afterwards."""
        backend = Watched(self.open_backend(name), self.note)
        self.kept.append(backend.inner)
        try:
            await backend.prepare()
            self.note("its repr", f"{backend.inner!r} {backend.name} {backend.capabilities!r}")
            yield backend
        finally:
            for time in ("first", "second"):
                try:
                    await backend.inner.close()
                except Exception as error:
                    self._closing.append(f"the {time} close() raised {_name(error)}")

    def note(self, where: str, text: str) -> None:
        """Remember something that a person may come to see, if there is a secret to look for."""
        if self.secret:
            self._shown.append((where, text))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Read the logs along, whatever their level, if there is a secret to look for."""
        if not self.secret:
            yield
            return
        root, handler = logging.getLogger(), _Listener(self.note)
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)

    # ---- what is looked at in the end -----------------------------------------------------------

    async def check_closing(self) -> None:
        if not self.kept:
            raise Skipped("no backend was opened")
        if self._closing:
            raise Failed(self._closing[0])

    async def check_tasks(self) -> None:
        if not self.kept:
            raise Skipped("no backend was opened")
        mine = asyncio.current_task()
        left = await _settle(lambda: asyncio.all_tasks() - self._tasks - {mine})
        if left:
            names = listed(getattr(task.get_coro(), "__qualname__", "?") for task in left)
            raise Failed(f"{len(left)} are left: {names}")

    async def check_sockets(self) -> None:
        if not self.kept:
            raise Skipped("no backend was opened")
        if self._sockets is None:
            raise Skipped(f"open sockets can't be seen on {sys.platform}")
        before = self._sockets
        if left := await _settle(lambda: (open_sockets() or set()) - before):
            raise Failed(f"{len(left)} are left open")

    async def check_secret(self) -> None:
        if not self.secret:
            raise Skipped("no secret was given")
        if not self.secret_was_sent:
            raise Skipped("no fault server was sent it")
        for where, text in self._shown:
            if self.secret in text:
                raise Failed(f"it is in {where}: {text.replace(self.secret, '(the key)')[-300:]}")


class Watched:
    """A backend whose every error and completion is looked at on its way out."""

    def __init__(self, inner: Backend, note: Callable[[str, str], None]) -> None:
        self.inner = inner
        self._note = note

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def prepare(self) -> None:
        with self._watching("prepare()"):
            await self.inner.prepare()

    async def complete(self, request: Request) -> Completion:
        with self._watching("complete()"):
            completion = await self.inner.complete(request)
        if not isinstance(completion, Completion):
            raise Failed(f"complete() gave a {type(completion).__name__}, not a Completion")
        self._note("a completion", repr(completion))
        return completion

    @contextmanager
    def _watching(self, what: str) -> Iterator[None]:
        try:
            yield
        except BackendError as error:
            self._note("an error", "".join(traceback.format_exception(error)) + repr(error))
            if type(error) is BackendError:
                raise Failed(
                    f"{what} raised a bare BackendError, which says not who must act"
                ) from error
            raise
        except Exception as error:
            self._note("an error", "".join(traceback.format_exception(error)))
            raise Failed(f"{what} raised {_name(error)}, which is no BackendError") from error


class _Listener(logging.Handler):
    """Passes on whatever is logged."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        super().__init__(logging.DEBUG)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(f"the log of {record.name}", self.format(record))


def open_sockets() -> set[str] | None:
    """The sockets of this process, None where the system does not tell."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return None
    found = set()
    for entry in folder.iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # it was the one that the folder itself was read by
        if target.startswith("socket:"):
            found.add(target)
    return found


async def _settle(left: Callable[[], set[T]]) -> set[T]:
    """What is left once things had time to end: the other end of a connection may be slower."""
    for _ in range(round(SETTLE / 0.05)):
        if not left():
            break
        await asyncio.sleep(0.05)
    return left()


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {describe(error)}"
