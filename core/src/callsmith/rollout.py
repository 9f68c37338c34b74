"""Many chains at once: what is owed is made by an executor, then judged, recorded and counted.

A chain counts as done only once the store has committed it, so a rollout that dies at any moment
is gone on with by being started again. Where chains are made is `executors`' matter, waiting
for a server `patience`'s, the loop itself `agent`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from callsmith.chain import Chain, Problem, Verdict, digest
from callsmith.errors import CallsmithError, PluginError
from callsmith.executors import Executor, Job, LocalExecutor, Maker
from callsmith.patience import Tally
from callsmith.runs import Run
from callsmith.store import Store
from callsmith.tasks import Task

OnRecord: TypeAlias = Callable[[Tally, Sequence[tuple[Chain, Verdict]]], None]
"""Called after each commit, and now and then without one."""

BATCH = 64
"""Chains in one commit, at most."""

FLUSH_SECONDS = 0.5
"""How long a finished chain may wait for its commit."""


@dataclass(frozen=True)
class Rollout:
    """Many chains, judged and recorded. ``seed`` is the run's; a chain's own is `chain_seed`."""

    task: Task
    maker: Maker
    executor: Executor = field(default_factory=LocalExecutor)
    seed: int = 0

    async def record(
        self,
        store: Store,
        run: Run,
        owed: Sequence[tuple[Problem, int]],
        on_record: OnRecord = lambda *_: None,
    ) -> Tally:
        """Make the owed chains, judge and record them. ``on_record`` is called after each commit.

        Raises Rejected, Unavailable (after the retries), PluginError or StoreError; what was
        finished by then is recorded.
        """
        tally = Tally(owed=len(owed))
        pending: list[tuple[Chain, Verdict]] = []
        jobs = (Job(p, attempt, chain_seed(self.seed, p, attempt)) for p, attempt in owed)

        def flush() -> None:
            batch, pending[:] = list(pending), []
            if batch:
                store.add(run, batch)
                for record in batch:
                    tally.add(*record)
            on_record(tally, batch)

        async def keep_flushing() -> None:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                flush()

        try:
            async with (
                asyncio.TaskGroup() as group,
                aclosing(self.executor.run(jobs, self.maker, tally)) as chains,
            ):
                flusher = group.create_task(keep_flushing())
                async for chain in chains:
                    pending.append((chain, judge(self.task, chain.problem, chain)))
                    if len(pending) >= BATCH:
                        flush()
                flusher.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            flush()  # what is finished is kept, whatever ended the rest
        return tally


def chain_seed(seed: int, problem: Problem, attempt: int) -> int:
    """The seed of one chain, below 2**31 since some servers read no more."""
    return int(digest([seed, problem.key, attempt]), 16) % 2**31


def judge(task: Task, problem: Problem, chain: Chain) -> Verdict:
    """The task's verdict. A verifier that raises is the task's failure, and never a verdict."""
    try:
        return task.judge(problem, chain)
    except CallsmithError:
        raise
    except Exception as error:
        raise PluginError(
            f"the verifier of task {task.name} failed on {problem.question[:60]!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


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
