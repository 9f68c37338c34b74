"""Where chains are made: the Executor protocol, and the local one.

An executor makes chains and nothing else. Which are owed, judging, the store, counting and what
a person sees stay with the process that started it, which is `rollout`'s.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from callsmith.agent import Limits, solve
from callsmith.backends import Backend
from callsmith.chain import Chain, Problem, Sampling, Setup
from callsmith.dialects import Prompt
from callsmith.errors import PluginError
from callsmith.isolation import Workers
from callsmith.patience import PatientBackend, Tally
from callsmith.runs import differences

if TYPE_CHECKING:
    from callsmith.configs import RolloutConfig
    from callsmith.plugins import Registry


@dataclass(frozen=True, slots=True)
class Job:
    """One chain to make. ``seed`` is the chain's own, so it does not matter who makes it."""

    problem: Problem
    attempt: int
    seed: int


@dataclass(frozen=True)
class MakerSpec:
    """How another process makes the same Maker: values only, to be pickled.

    ``config`` has the dialect that was chosen; ``model`` is the one to open, a folder where
    ``config.model`` is the name of a model trained here.
    """

    config: RolloutConfig
    model: str
    setup: Setup

    @asynccontextmanager
    async def open(self, registry: Registry | None = None) -> AsyncIterator[Maker]:
        """The maker, its backend ready, closed in the end.

        Raises PluginError if other versions of plugins are installed here, or if functions or
        prompt come out otherwise, and what opening the backend raises.
        """
        from callsmith.plugins import load_registry
        from callsmith.workspace import Workspace

        registry = registry or load_registry()
        if changed := differences(self.setup.plugins, registry.versions):
            listed = "; ".join(f"{name} {change}" for name, change in changed.items())
            raise PluginError(
                f"a worker has other plugins than the process that started the run ({listed}): "
                "install the same versions everywhere"
            )
        maker = await Workspace(registry=registry).maker(self.config, model=self.model)
        try:
            found = maker.setup
            if (found.functions, found.prompt) != (self.setup.functions, self.setup.prompt):
                raise PluginError(
                    "a worker makes other functions or another prompt of the same configuration "
                    "than the process that started the run: the task's data or code differ there"
                )
            yield maker
        finally:
            await maker.backend.close()


@dataclass(frozen=True)
class Maker:
    """Makes one chain after another, all alike: everything but which problems.

    ``max_retries`` is how often one turn is asked for again while the server is unavailable, and
    ``timeout`` the seconds after which it counts as such (None: as the backend says).
    ``spec`` is for executors whose chains are made by other processes; None where no other
    process could make this maker.
    """

    backend: Backend
    prompt: Prompt
    setup: Setup
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    run: str = ""
    concurrency: int = 8
    max_retries: int = 16
    timeout: float | None = None
    spec: MakerSpec | None = None

    @asynccontextmanager
    async def start(self, tally: Tally) -> AsyncIterator[Make]:
        """What makes a chain of a job, any number of them at once. ``tally`` is kept up to date.

        It raises what `agent.solve` raises, Unavailable only after all the retries.
        """
        backend = PatientBackend(self.backend, self.max_retries, self.timeout, tally)
        async with Workers(os.cpu_count() or 2) as workers:

            async def make(job: Job) -> Chain:
                tally.in_flight += 1
                try:
                    return await solve(
                        job.problem,
                        backend,
                        self.prompt,
                        workers,
                        sampling=self.sampling,
                        limits=self.limits,
                        setup=self.setup,
                        seed=job.seed,
                        attempt=job.attempt,
                        run=self.run,
                    )
                finally:
                    tally.in_flight -= 1

            yield make


Make: TypeAlias = Callable[[Job], Awaitable[Chain]]
Chains: TypeAlias = AsyncGenerator[Chain, None]


class Executor(Protocol):
    """Makes chains somewhere. Registered by name, made with the options given to it."""

    def run(self, jobs: Iterator[Job], maker: Maker, tally: Tally) -> Chains:
        """Chains as they are finished, in any order.

        ``jobs`` is asked for the next one only when there is room for it: it decides anew each
        time, and may end early. ``tally`` is told of chains in flight, retries and waiting, where
        the executor knows. Each chain must be what ``maker`` would have made of the job.

        Closed or cancelled, it stops everything it started. An error of one chain (one that
        `Maker.start` lets out) ends it: what was finished is given first, then it is raised.
        """
        ...


class LocalExecutor:
    """Chains on this event loop, ``maker.concurrency`` at a time."""

    async def run(self, jobs: Iterator[Job], maker: Maker, tally: Tally) -> Chains:
        running: set[asyncio.Task[Chain]] = set()
        ended: asyncio.Queue[asyncio.Task[Chain]] = asyncio.Queue()
        async with maker.start(tally) as make:

            async def work(job: Job) -> Chain:
                return await make(job)

            def fill() -> None:
                while len(running) < maker.concurrency and (job := next(jobs, None)):
                    task = asyncio.create_task(work(job))
                    task.add_done_callback(ended.put_nowait)
                    running.add(task)

            failed: BaseException | None = None
            try:
                fill()
                while running:
                    task = await ended.get()
                    running.discard(task)
                    if failed := task.exception():
                        break
                    # A free slot takes the next problem, however long the others still are.
                    fill()
                    yield task.result()
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
            if failed:
                while not ended.empty():
                    task = ended.get_nowait()
                    if not task.cancelled() and not task.exception():
                        yield task.result()
                raise failed
