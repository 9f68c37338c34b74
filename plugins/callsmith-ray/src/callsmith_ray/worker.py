"""What runs on the nodes: an actor that makes chains with a backend of its own.

The driver and a worker speak by `ChainWorker.exchange` alone: new jobs go one way, whatever chains
are finished come back the other, so that the busier a worker is, the less a chain costs.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsmith.chain import dump
from callsmith.errors import CallsmithError
from callsmith.executors import Job, Make, MakerSpec
from callsmith.patience import Tally

LISTENING = 0.5
"""Seconds after which an exchange comes back, with finished chains or without."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a worker has to say: finished chains as JSON, by the tickets of their jobs.

    ``error`` ended the worker's run; the others are as in Tally.
    """

    chains: Sequence[tuple[int, str]] = ()
    retries: int = 0
    waiting: int = 0
    trouble: str = ""
    allowed: int = 0
    notices: Sequence[str] = ()
    error: CallsmithError | None = None


class ChainWorker:
    """Makes the chains that it is given, all at once: the driver sees to how many that are.

    ``folder`` is where relative paths in ``spec`` start, if it is here.
    """

    def __init__(self, spec: MakerSpec, folder: str) -> None:
        self._spec = spec
        if Path(folder).is_dir():
            os.chdir(folder)
        self._tally = Tally()
        self._making: set[asyncio.Task[None]] = set()
        self._finished: list[tuple[int, str]] = []
        self._error: CallsmithError | None = None
        self._broken: Exception | None = None
        self._news = asyncio.Event()
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._make_chain: Make

    async def open(self) -> CallsmithError | None:
        """Make everything ready for the first chain; gives what the user has to mend, if so."""
        self._serving = asyncio.create_task(self._serve())
        opened = asyncio.create_task(self._opened.wait())
        await asyncio.wait({self._serving, opened}, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if not self._serving.done():
            return None
        error = self._serving.exception()
        if isinstance(error, CallsmithError):
            return self._here(error)
        assert error is not None
        raise error

    async def exchange(self, jobs: Sequence[tuple[int, Job]]) -> Exchange:
        """Begin these jobs, and give what is finished as soon as there is something."""
        for ticket, job in jobs:
            task = asyncio.create_task(self._make(ticket, job))
            self._making.add(task)
            task.add_done_callback(self._making.discard)
        try:
            async with asyncio.timeout(LISTENING):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        if self._broken:
            raise self._broken  # Ray shows the driver where it happened
        chains, self._finished = self._finished, []
        tally = self._tally
        return Exchange(
            chains,
            retries=tally.retries,
            waiting=tally.waiting,
            trouble=tally.trouble,
            allowed=tally.allowed,
            notices=tuple(tally.notices),
            error=self._error,
        )

    async def close(self) -> None:
        """Let go of the backend and the processes."""
        self._closing.set()
        await self._serving

    async def _serve(self) -> None:
        # In one task from beginning to end, as whatever is opened may want to be closed.
        async with self._spec.open() as maker, maker.start(self._tally) as self._make_chain:
            self._opened.set()
            await self._closing.wait()

    async def _make(self, ticket: int, job: Job) -> None:
        try:
            chain = await self._make_chain(job)
            self._finished.append((ticket, dump(chain)))
        except CallsmithError as error:
            self._error = self._here(error)
        except Exception as error:
            self._broken = error
        self._news.set()

    def _here(self, error: CallsmithError) -> CallsmithError:
        """The error with the node's name, since its reason may be there alone."""
        error.args = (f"{error} (on the Ray node {socket.gethostname()})", *error.args[1:])
        return error
