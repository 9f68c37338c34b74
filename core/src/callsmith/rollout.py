"""Many chains at once: concurrency, waiting for a server, judging, recording, progress.

A chain counts as done only once the store has committed it, so a rollout that dies at any moment
is gone on with by being started again. The loop itself is `agent`'s.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from callsmith.agent import Limits, solve
from callsmith.backends import Backend, Capabilities, Completion, Request
from callsmith.chain import Chain, Problem, Sampling, Setup, Verdict, digest
from callsmith.dialects import Prompt
from callsmith.errors import BackendError, CallsmithError, PluginError, Unavailable, describe
from callsmith.isolation import Workers
from callsmith.runs import Run
from callsmith.store import Store
from callsmith.tasks import Task

BATCH = 64
"""Chains in one commit, at most."""

FLUSH_SECONDS = 0.5
"""How long a finished chain may wait for its commit."""


@dataclass(slots=True)
class Tally:
    """What a rollout has done so far. ``owed`` counts this start's chains, not the whole run's.

    ``waiting`` of those in flight wait for a server; ``trouble`` is what was last wrong with it.
    """

    owed: int = 0
    done: int = 0
    correct: int = 0
    tokens: int = 0
    in_flight: int = 0
    retries: int = 0
    waiting: int = 0
    trouble: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def add(self, chain: Chain, verdict: Verdict) -> None:
        self.done += 1
        self.correct += verdict.correct
        self.tokens += chain.usage.completion
        self.faults.update(fault.kind for fault in chain.faults)


@dataclass(frozen=True)
class Rollout:
    """How chains are made: everything but which problems.

    ``seed`` is the run's; a chain's own is a hash of it, the problem's key and the attempt.
    ``max_retries`` is how often one turn is asked for again while the server is unavailable, and
    ``timeout`` the seconds after which it counts as such (None: as the backend says).
    """

    task: Task
    backend: Backend
    prompt: Prompt
    setup: Setup
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    concurrency: int = 8
    max_retries: int = 16
    timeout: float | None = None

    async def record(
        self,
        store: Store,
        run: Run,
        owed: Sequence[tuple[Problem, int]],
        on_record: Callable[[Tally, Sequence[tuple[Chain, Verdict]]], None] = lambda *_: None,
    ) -> Tally:
        """Make the owed chains, judge and record them. ``on_record`` is called after each commit.

        Raises Rejected, Unavailable (after the retries), PluginError or StoreError; what was
        finished by then is recorded.
        """
        tally = Tally(owed=len(owed))
        pending: list[tuple[Chain, Verdict]] = []
        backend = PatientBackend(self.backend, self.max_retries, self.timeout, tally)
        queue = iter(owed)

        def flush() -> None:
            batch, pending[:] = list(pending), []
            if batch:
                store.add(run, batch)
                for record in batch:
                    tally.add(*record)
            on_record(tally, batch)

        async def work(workers: Workers) -> None:
            for problem, attempt in queue:  # shared: a slot takes the next problem when it is free
                # A backend that replays never waits: here others, and Ctrl-C, have their turn.
                await asyncio.sleep(0)
                tally.in_flight += 1
                chain = await solve(
                    problem,
                    backend,
                    self.prompt,
                    workers,
                    sampling=self.sampling,
                    limits=self.limits,
                    setup=self.setup,
                    seed=chain_seed(self.seed, problem, attempt),
                    attempt=attempt,
                    run=run.name,
                )
                pending.append((chain, judge(self.task, problem, chain)))
                tally.in_flight -= 1
                if len(pending) >= BATCH:
                    flush()

        async def keep_flushing() -> None:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                flush()

        try:
            async with Workers() as workers, asyncio.TaskGroup() as slots:
                flusher = slots.create_task(keep_flushing())
                working = [slots.create_task(work(workers)) for _ in range(self.concurrency)]
                await asyncio.wait(working)
                flusher.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            flush()  # what is finished is kept, whatever ended the rest
        return tally


@dataclass
class PatientBackend:
    """Waits for a server that is away or busy, and asks again; everything else passes through.

    The waits double from half a second to a minute, with jitter, unless the server says how long.
    """

    inner: Backend
    max_retries: int
    timeout: float | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def prepare(self) -> None:
        await self.inner.prepare()

    async def complete(self, request: Request) -> Completion:
        waited = 0.0
        for tried in range(self.max_retries + 1):
            began = time.perf_counter()
            try:
                completion = await self._ask(request)
                return replace(completion, waited=waited) if waited else completion
            except Unavailable as error:
                if tried == self.max_retries:
                    raise
                self.tally.retries += 1
                self.tally.trouble = str(error)
                wait = min(60.0, 0.5 * 2**tried) * random.uniform(0.5, 1.0)
                self.tally.waiting += 1
                try:
                    await asyncio.sleep(wait if error.retry_after is None else error.retry_after)
                finally:
                    self.tally.waiting -= 1
                waited += time.perf_counter() - began
            except BackendError as error:
                error.waited = waited
                raise
        raise AssertionError("the last try returns or raises")

    async def _ask(self, request: Request) -> Completion:
        timeout = self.inner.capabilities.timeout if self.timeout is None else self.timeout
        try:
            async with asyncio.timeout(timeout):
                return await self.inner.complete(request)
        except TimeoutError as error:
            raise Unavailable(
                f"{self.name} gave no answer within {timeout:g} s: if it needs longer, say so with "
                "--timeout"
            ) from error

    async def close(self) -> None:
        await self.inner.close()


def chain_seed(seed: int, problem: Problem, attempt: int) -> int:
    """The seed of one chain, below 2**31 since some servers read no more."""
    return int(digest([seed, problem.key, attempt]), 16) % 2**31


def judge(task: Task, problem: Problem, chain: Chain) -> Verdict:
    """The task's verdict. A verifier that raises is the task's failure, and never a verdict."""
    try:
        verdict = task.judge(problem, chain)
        if not isinstance(verdict, Verdict):
            raise TypeError(f"it gave {verdict!r:.80}, which is no Verdict")
    except CallsmithError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the verifier of task {task.name} failed on {problem.question[:60]!r}: "
            f"{type(error).__name__}: {describe(error)}"
        ) from error
    return verdict


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stopped the others, preferring one that the user can act on."""
    leaves: list[BaseException] = []

    def collect(errors: Iterable[BaseException]) -> None:
        for error in errors:
            if isinstance(error, BaseExceptionGroup):
                collect(error.exceptions)
            else:
                leaves.append(error)

    collect(group.exceptions)
    return next((leaf for leaf in leaves if isinstance(leaf, CallsmithError)), leaves[0])
