"""Many chains at once: what is owed is made by an executor, then judged, recorded and counted.

A chain counts as done only once the store has committed it, so a rollout that dies at any moment
is gone on with by being started again. Where chains are made is `executors`' matter, waiting
for a server `patience`'s, the loop itself `agent`'s.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field

from callsmith.chain import Chain, Problem, Verdict, digest
from callsmith.errors import (
    BackendError,
    CallsmithError,
    PluginError,
    Rejected,
    Stopped,
    StoreError,
    describe,
)
from callsmith.executors import Executor, Job, LocalExecutor, Maker
from callsmith.patience import Tally
from callsmith.recording import OnRecord, Recorder
from callsmith.runs import Run
from callsmith.store import Store
from callsmith.tasks import Task


@dataclass(frozen=True)
class Rollout:
    """Many chains, judged and recorded. ``seed`` is the run's; a chain's own is `chain_seed`.

    With ``until_both`` a problem is settled, and owes nothing more, once it has so many correct
    and so many incorrect chains; none is begun that the ones in flight could make needless.
    """

    task: Task
    maker: Maker
    executor: Executor = field(default_factory=LocalExecutor)
    seed: int = 0
    until_both: int | None = None

    async def record(
        self,
        store: Store,
        run: Run,
        owed: Sequence[tuple[Problem, int]],
        on_record: OnRecord = lambda *_: None,
    ) -> Tally:
        """Make the owed chains, judge and record them. ``on_record`` is called after each commit.

        Ctrl-C once starts no more chains and finishes those in flight, twice drops these; both
        raise Stopped. Raises Rejected, Unavailable (after the retries), PluginError or StoreError
        too; what was finished by then is recorded.
        """
        tally = Tally(owed=len(owed))
        balance = Balance(self.until_both, store.verdicts(run) if self.until_both else {})
        for key in balance.settled():
            store.settle(run, key)
        making = asyncio.current_task()
        assert making
        recorder = Recorder(store.path.parent, run, tally, on_record, making.cancel)

        left = list(owed)

        def jobs() -> Iterator[Job]:
            coming, left[:] = left[:], []
            for problem, attempt in coming:
                if tally.stopping:
                    return
                if balance.is_settled(problem.key):
                    tally.owed -= 1
                elif balance.begin(problem.key):
                    yield Job(problem, attempt, chain_seed(self.seed, problem, attempt))
                else:  # what is in flight may settle it: once that is done, it is asked again
                    left.append((problem, attempt))

        try:
            with _interrupting(tally, making.cancel):
                try:
                    while left and not tally.stopping:
                        chains = self.executor.run(jobs(), self.maker, tally)
                        async with aclosing(chains):
                            async for chain in chains:
                                verdict = judge(self.task, chain.problem, chain)
                                await recorder.add(chain, verdict)
                                if balance.add(chain.problem.key, verdict):
                                    recorder.settle(chain.problem.key)
                finally:
                    await recorder.close()  # what is finished is kept, whatever ended the rest
        except asyncio.CancelledError:
            if not recorder.failure and not tally.stopping:
                raise
            making.uncancel()
        except Rejected as error:
            error.add_note(f"{_left(run, tally)} once that is mended")
            raise
        except (BackendError, StoreError) as error:
            error.add_note(_left(run, tally))
            raise
        if recorder.failure:
            recorder.failure.add_note(_left(run, tally))
            raise recorder.failure
        if tally.stopping and tally.done < tally.owed:
            raise Stopped(_left(run, tally))
        if self.until_both:
            store.finish(run)
        return tally


class Balance:
    """Which problems have enough correct and enough incorrect chains, ``enough`` of each."""

    def __init__(self, enough: int | None, verdicts: Mapping[str, tuple[int, int]]) -> None:
        self._enough = enough
        self._counts = {key: list(counts) for key, counts in verdicts.items()}
        self._in_flight: Counter[str] = Counter()

    def settled(self) -> list[str]:
        return [key for key in self._counts if self.is_settled(key)]

    def is_settled(self, key: str) -> bool:
        return bool(self._enough) and min(self._counts.get(key, (0, 0))) >= (self._enough or 0)

    def begin(self, key: str) -> bool:
        """Count a chain as in flight, and say so, unless those in flight may be all it takes."""
        if self._enough:
            needed = sum(max(0, self._enough - count) for count in self._counts.get(key, (0, 0)))
            if self._in_flight[key] >= needed:
                return False
            self._in_flight[key] += 1
        return True

    def add(self, key: str, verdict: Verdict) -> bool:
        """Count a chain; says whether it was the one that settles the problem."""
        if not self._enough:
            return False
        self._in_flight[key] -= 1
        if self.is_settled(key):
            return False
        self._counts.setdefault(key, [0, 0])[verdict.correct] += 1
        return self.is_settled(key)


@contextmanager
def _interrupting(tally: Tally, cancel: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C sets ``tally.stopping``, and again cancels. Only a main thread hears of it."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if tally.stopping:
            cancel()
            return
        tally.stopping = True
        tally.notices.append(
            f"stopping: {tally.in_flight} chains in flight are finished first; Ctrl-C again stops "
            "at once"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    with suppress(NotImplementedError):  # where there is none, it stops at once
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def _left(run: Run, tally: Tally) -> str:
    return (
        f"{tally.done:,} chains were recorded in run {run.name}, {tally.owed - tally.done:,} are "
        "still owed; the same command goes on"
    )


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
