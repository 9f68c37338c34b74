from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from callsmith_transformers.gathering import Gathering


async def test_what_waits_together_is_worked_on_together() -> None:
    batches: list[list[int]] = []

    def work(jobs: Sequence[int]) -> list[int]:
        batches.append(list(jobs))
        return [job * 2 for job in jobs]

    gathering = Gathering(work, size=8)
    results = await asyncio.gather(*map(gathering.ask, range(20)))
    gathering.close()
    assert results == [2 * i for i in range(20)]
    assert [len(batch) for batch in batches] == [8, 8, 4]


async def test_jobs_of_like_weight_are_put_together_and_none_waits_for_ever() -> None:
    batches: list[list[int]] = []
    go_on = threading.Event()

    def work(jobs: Sequence[int]) -> list[int]:
        go_on.wait(5)
        batches.append(list(jobs))
        return list(jobs)

    gathering = Gathering(work, size=3, weight=lambda job: job)
    first = asyncio.create_task(gathering.ask(0))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(gathering.ask(job)) for job in (50, 1, 49, 2, 3, 51, 100)]
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(first, *others)
    gathering.close()
    assert batches == [[0], [50, 49, 51], [1, 2, 3], [100]]


async def test_threads_that_are_free_share_what_there_is() -> None:
    together = threading.Barrier(2, timeout=5)
    sizes: list[int] = []

    def work(jobs: Sequence[int]) -> list[int]:
        sizes.append(len(jobs))
        together.wait()  # passes only if both threads have a batch
        return list(jobs)

    gathering = Gathering(work, size=64, threads=2)
    await asyncio.sleep(0.05)  # both are up
    await asyncio.gather(*map(gathering.ask, range(10)))
    gathering.close()
    assert sizes == [5, 5]


async def test_the_event_loop_is_not_held_up() -> None:
    def work(jobs: Sequence[int]) -> list[int]:
        time.sleep(0.2)
        return list(jobs)

    gathering = Gathering(work, size=1)
    asked = asyncio.create_task(gathering.ask(1))
    ticks = 0
    while not asked.done():
        await asyncio.sleep(0.01)
        ticks += 1
    gathering.close()
    assert ticks > 5


async def test_a_job_s_error_is_its_own_and_one_raised_is_everybody_s() -> None:
    def work(jobs: Sequence[int]) -> list[int | Exception]:
        if 99 in jobs:
            raise ValueError("all")
        return [KeyError(job) if job == 1 else job for job in jobs]

    gathering = Gathering(work, size=8)
    results = await asyncio.gather(*map(gathering.ask, range(3)), return_exceptions=True)
    assert results[0] == 0
    assert isinstance(results[1], KeyError)
    with pytest.raises(ValueError, match="all"):
        await gathering.ask(99)
    assert await gathering.ask(5) == 5, "the thread lives on"
    gathering.close()


async def test_who_no_longer_waits_is_left_out() -> None:
    seen: list[int] = []
    started = threading.Event()
    go_on = threading.Event()

    def work(jobs: Sequence[int]) -> list[int]:
        seen.extend(jobs)
        started.set()
        go_on.wait(5)
        return list(jobs)

    gathering = Gathering(work, size=1)
    first = asyncio.create_task(gathering.ask(1))
    await asyncio.to_thread(started.wait, 5)
    second = asyncio.create_task(gathering.ask(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await first == 1
    gathering.close()
    assert seen == [1]
    with pytest.raises(RuntimeError):
        await gathering.ask(3)
