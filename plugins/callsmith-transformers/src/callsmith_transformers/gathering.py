"""Requests that wait at the same time are worked on together: a queue with a few threads.

Whoever asks does so from an event loop, which is never held up. What comes in while all threads
are busy waits, and goes into the next batch; so batches are as large as the load makes them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

QUIET = 0.002
"""Seconds without a new request after which a batch is not waited with any longer."""

PATIENCE = 0.05
"""Seconds after which it is not, however fast new ones come."""


class Gathering(Generic[Job, Outcome]):
    """Runs ``work`` on batches of at most ``size`` jobs, in ``threads`` threads.

    ``work`` gives an outcome for each job, in order; an exception among them, or one that it
    raises, is raised where the job was asked for. Where more wait than go into a batch, jobs of
    like ``weight`` are put together. ``prepare`` is called first in each thread.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Outcome | Exception]],
        *,
        size: int,
        weight: Callable[[Job], int] = lambda job: 0,
        threads: int = 1,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._size = size
        self._weight = weight
        self._prepare = prepare
        self._waiting: list[tuple[Job, Future[Outcome], int]] = []
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    async def ask(self, job: Job) -> Outcome:
        """The job's outcome. Raises RuntimeError once closed."""
        future: Future[Outcome] = Future()
        weight = self._weight(job)
        with self._changed:
            if self._closed:
                raise RuntimeError("closed")
            self._waiting.append((job, future, weight))
            self._changed.notify_all()
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish what runs, drop what waits, end the threads."""
        with self._changed:
            self._closed = True
            for _, future, _ in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        self._prepare()
        while batch := self._gather():
            jobs = [job for job, _ in batch]
            try:
                outcomes = self._work(jobs)
            except Exception as error:  # whoever asked learns of it, and the thread lives on
                outcomes = [error] * len(batch)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _gather(self) -> list[tuple[Job, Future[Outcome]]]:
        """The next batch; empty once closed."""
        with self._changed:
            while True:
                self._idle += 1
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._settle()
                # Other threads that are free take their share.
                share = -(-len(self._waiting) // self._idle)
                self._idle -= 1
                taken = self._take(min(share, self._size))
                batch = [item for item in taken if item[1].set_running_or_notify_cancel()]
                if batch or self._closed:
                    return batch

    def _take(self, count: int) -> list[tuple[Job, Future[Outcome]]]:
        """What has waited longest, and what is most like it in weight."""
        weights = [weight for *_, weight in self._waiting]
        nearest = sorted(range(len(weights)), key=lambda place: abs(weights[place] - weights[0]))
        chosen = set(nearest[:count])
        taken = [item[:2] for place, item in enumerate(self._waiting) if place in chosen]
        self._waiting = [item for place, item in enumerate(self._waiting) if place not in chosen]
        return taken

    def _settle(self) -> None:
        """Wait until no more requests come in, or there are enough for all who are free."""
        patience = time.monotonic() + PATIENCE
        seen = 0
        while seen < len(self._waiting) < self._size * self._idle and time.monotonic() < patience:
            seen = len(self._waiting)
            self._changed.wait_for(lambda: len(self._waiting) > seen, QUIET)  # noqa: B023
