"""The one writer of a rollout: chains to the store in small batches, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from callsmith.chain import Chain, Verdict
from callsmith.patience import Tally
from callsmith.runs import Run
from callsmith.store import Store

BATCH = 64
"""Chains in one commit, unless the disk is slower than the model."""

MOST = 16 * BATCH
"""Chains that may wait for their commit; from then on no new ones are taken."""

FLUSH_SECONDS = 0.5
"""How long a finished chain may wait for its commit, at most, while the disk keeps up."""

Record: TypeAlias = tuple[Chain, Verdict]
OnRecord: TypeAlias = Callable[[Tally, Sequence[Record]], None]
"""Called after each commit, and now and then without one."""


class Recorder:
    """Commits records and counts them, in a thread with a store of its own: no disk, and no lock
    of another process, ever holds up the event loop.

    ``on_failure`` is called when that goes wrong; it is ``failure`` then, and `close` raises it.
    """

    def __init__(
        self,
        home: Path,
        run: Run,
        tally: Tally,
        on_record: OnRecord,
        on_failure: Callable[[], object],
    ) -> None:
        self._home = home
        self._run = run
        self._tally = tally
        self._on_record = on_record
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(1, "recorder")
        self._store: Store | None = None
        self._pending: list[Record] = []
        self._settled: list[str] = []
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._closing = False
        self.failure: Exception | None = None
        self._writing = asyncio.create_task(self._keep_writing())

    async def add(self, chain: Chain, verdict: Verdict) -> None:
        self._pending.append((chain, verdict))
        if len(self._pending) >= BATCH:
            self._wake.set()
        if len(self._pending) >= MOST:
            await self._write()

    def settle(self, problem_key: str) -> None:
        """Owe no more attempts at this problem, once its chains up to now are committed."""
        self._settled.append(problem_key)

    async def close(self) -> None:
        """Commit the rest. Raises what has gone wrong; the rest is tried once more before."""
        self._closing = True
        self._wake.set()
        try:
            try:
                await self._writing
            except Exception:
                if self._pending:
                    await self._write()
                raise
        finally:
            if self._store:
                self._thread.submit(self._store.close)
            self._thread.shutdown()

    async def _keep_writing(self) -> None:
        try:
            closing = False
            while not closing:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                closing = self._closing
                await self._write()
        except Exception as error:
            self.failure = error
            if not self._closing:
                self._on_failure()
            raise

    async def _write(self) -> None:
        async with self._turn:
            batch, self._pending = self._pending, []
            settled, self._settled = self._settled, []
            if batch or settled:
                loop = asyncio.get_running_loop()
                try:
                    await loop.run_in_executor(self._thread, self._commit, batch, settled)
                except Exception:
                    self._pending = batch + self._pending
                    self._settled = settled + self._settled
                    raise
            for record in batch:
                self._tally.add(*record)
            self._tally.settled += len(settled)
            self._on_record(self._tally, batch)

    def _commit(self, batch: Sequence[Record], settled: Sequence[str]) -> None:
        if self._store is None:
            self._store = Store(self._home)
        # Also where there are many: a commit stays short, and others get in between.
        for first in range(0, len(batch), BATCH):
            self._store.add(self._run, batch[first : first + BATCH])
        for key in settled:
            self._store.settle(self._run, key)
