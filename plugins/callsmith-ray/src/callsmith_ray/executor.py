"""The driver's side: jobs go to workers all over a Ray cluster, and their chains come back.

Nothing is judged or written here: whoever iterates over the chains does both. A worker that is
lost hands its jobs to the others; those of the last one are owed when the run is started again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from callsmith.chain import Chain, load_chain
from callsmith.errors import DataError, PluginError, Unavailable
from callsmith.executors import Chains, Job, Maker
from callsmith.patience import Tally
from callsmith_ray.cluster import connected, place_workers
from callsmith_ray.worker import Exchange

CLOSING = 5.0
"""Seconds that workers may take to close before they are killed."""

PATIENCE = 30.0
"""Seconds without a worker that is ready, after which a notice says so."""


class RayExecutor:
    """Makes chains on a Ray cluster.

    ``address`` is the cluster's, as in ``ray.init``: empty for RAY_ADDRESS, else a cluster that
    runs on this machine, else one that is started here for as long as the run takes. ``workers``
    is how many processes make chains, by default one on every node, or one for every ``gpus``;
    each reserves ``cpus`` and ``gpus``.
    """

    def __init__(
        self, address: str = "", workers: int | None = None, cpus: float = 1, gpus: float = 0
    ) -> None:
        if workers is not None and not (isinstance(workers, int) and workers >= 1):
            raise DataError(f"workers must be a whole number, at least 1: not {workers!r}")
        for name, number in {"cpus": cpus, "gpus": gpus}.items():
            if not (isinstance(number, int | float) and number >= 0):
                raise DataError(f"{name} must be a number, at least 0: not {number!r}")
        self.address, self.workers, self.cpus, self.gpus = address, workers, cpus, gpus

    async def run(self, jobs: Iterator[Job], maker: Maker, tally: Tally) -> Chains:
        """Make the jobs' chains, in whatever order they are finished.

        ``--concurrency`` is that of all workers together; without it each has what suits the
        backend. Raises PluginError where workers can't make them, Unavailable if the cluster can't
        be reached or all workers are lost, and what the workers' backends raise.
        """
        if maker.spec is None:
            raise PluginError(
                "no other process can make this run, since its functions are objects of this one: "
                "give them by name (PACK.NAME), or leave out --executor ray"
            )
        first = next(jobs, None)
        if first is None:
            return
        together = maker.spec.config.concurrency
        with connected(self.address):
            # A worker has one chain in flight at least.
            actors = place_workers(self.workers, self.cpus, self.gpus, together, maker.spec)
            left = itertools.chain([first], jobs)
            crew = _Crew(actors, left, tally, together, maker.concurrency)
            try:
                async for chain in crew.chains():
                    yield chain
            finally:
                await crew.close()


class _Worker:
    """One worker as the driver sees it; ``assigned`` are the jobs that it has, by their tickets."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.is_ready = False
        self.assigned: dict[int, Job] = {}
        self.last = Exchange()
        self._new: list[tuple[int, Job]] = []

    async def open(self) -> None:
        """Wait until it is placed and ready. Raises what the user has to mend."""
        error = await self.actor.open.remote()
        if error:
            raise error
        self.is_ready = True

    def give(self, ticket: int, job: Job) -> None:
        """A job for the next exchange."""
        self.assigned[ticket] = job
        self._new.append((ticket, job))

    async def exchange(self) -> Exchange:
        """Send it its new jobs, and wait for its news."""
        new, self._new = self._new, []
        news: Exchange = await self.actor.exchange.remote(new)
        return news


class _Crew:
    """The workers, and what they share: the jobs that are left, and the chains that were made.

    ``together`` bounds the chains in flight of all workers; without it each has ``each``.
    """

    def __init__(
        self,
        actors: Iterable[Any],
        jobs: Iterator[Job],
        tally: Tally,
        together: int | None,
        each: int,
    ) -> None:
        self._workers = [_Worker(actor) for actor in actors]
        self._living = list(self._workers)
        self._jobs = jobs
        self._handed_back: deque[Job] = deque()
        self._tally = tally
        self._together, self._each = together, each
        self._tickets = itertools.count()
        # Bounded, so that workers wait for a store that is slower than they are.
        self._made: asyncio.Queue[Chain | Exception | None] = asyncio.Queue(256)
        self._handed = asyncio.Event()
        self._driving: list[asyncio.Task[None]] = []

    async def chains(self) -> AsyncIterator[Chain]:
        """The chains as they are finished, until there is nothing left to make."""
        self._driving = [asyncio.create_task(self._drive(worker)) for worker in self._workers]
        loop = asyncio.get_running_loop()
        self._reminder = loop.call_later(PATIENCE, self._say_if_none_is_ready)
        failed: Exception | None = None
        while (made := await self._made.get()) is not None:
            if isinstance(made, Exception):
                failed = made
                break
            yield made
        while failed and not self._made.empty():
            # Others had finished by then.
            if isinstance(made := self._made.get_nowait(), Chain):
                yield made
        if failed:
            raise failed

    async def close(self) -> None:
        """Let the workers close, or end them if they are in the middle of something."""
        import ray

        self._reminder.cancel()
        for task in self._driving:
            task.cancel()
        await asyncio.gather(*self._driving, return_exceptions=True)
        idle = [one for one in self._living if one.is_ready and not one.assigned]
        closing = [asyncio.wrap_future(one.actor.close.remote().future()) for one in idle]
        if closing:
            await asyncio.wait(closing, timeout=CLOSING)
        for worker in self._workers:
            ray.kill(worker.actor)

    async def _drive(self, worker: _Worker) -> None:
        """Keep one worker busy until there is nothing left to make, or it is lost."""
        import ray.exceptions

        try:
            await worker.open()
            while await self._give(worker):
                news = await worker.exchange()
                for ticket, chain in news.chains:
                    await self._made.put(load_chain(chain))
                    del worker.assigned[ticket]
                self._count(worker, news)
                if news.error:
                    raise news.error
            await self._made.put(None)
        except ray.exceptions.RayActorError as error:
            await self._lose(worker, error)
        except Exception as error:
            await self._made.put(error)

    async def _give(self, worker: _Worker) -> bool:
        """Fill the worker's slots. False once nobody has anything left to do."""
        while True:
            while len(worker.assigned) < self._share(worker):
                job = self._next_job()
                if job is None:
                    break
                worker.give(next(self._tickets), job)
            if worker.assigned:
                return True
            if not any(other.assigned for other in self._living):
                return False
            # Others have the last chains: they are this worker's if one of those is lost.
            self._handed.clear()
            await self._handed.wait()

    def _next_job(self) -> Job | None:
        if self._handed_back and not self._tally.stopping:
            return self._handed_back.popleft()
        return next(self._jobs, None)

    def _share(self, worker: _Worker) -> int:
        """How many chains this worker may have in flight: the lost ones' share is the others'."""
        if self._together is None:
            return self._each
        share, rest = divmod(self._together, len(self._living))
        return share + (self._living.index(worker) < rest)

    def _count(self, worker: _Worker, news: Exchange) -> None:
        """What a person sees of it."""
        tally = self._tally
        tally.retries += news.retries - worker.last.retries
        tally.trouble = news.trouble or tally.trouble
        if news.notices and not tally.allowed:
            # Each worker finds out by itself that a server wants fewer requests: said once.
            tally.notices.append(f"on a Ray worker: {news.notices[0]}")
        worker.last = news
        tally.waiting = sum(one.last.waiting for one in self._living)
        tally.in_flight = sum(len(one.assigned) for one in self._living)
        if any(one.last.allowed for one in self._living):
            tally.allowed = sum(one.last.allowed or self._share(one) for one in self._living)

    async def _lose(self, worker: _Worker, error: Exception) -> None:
        self._living.remove(worker)
        self._handed_back.extend(worker.assigned.values())
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[-1].partition(". ")[0] if lines else type(error).__name__
        self._tally.notices.append(
            f"a Ray worker is lost, and the {len(worker.assigned)} chains that it had in flight go "
            f"to the {len(self._living)} others: {reason}"
        )
        worker.assigned.clear()
        self._handed.set()
        if not self._living:
            await self._made.put(
                Unavailable(
                    f"all {len(self._workers)} Ray workers are lost, the last one since: {reason}"
                )
            )

    def _say_if_none_is_ready(self) -> None:
        if not any(worker.is_ready for worker in self._workers):
            self._tally.notices.append(
                f"no Ray worker is ready after {PATIENCE:g} s: the cluster may have no room for "
                "them now, or their model takes long to load"
            )
