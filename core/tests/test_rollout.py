from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from callsmith import tables
from callsmith.agent import Limits
from callsmith.backends import Completion, Request, ScriptedBackend
from callsmith.chain import Chain, Problem, Setup, Verdict
from callsmith.cli.progress import Turns
from callsmith.control import answer_function
from callsmith.dialects import Prompt
from callsmith.errors import (
    ModelFault,
    PluginError,
    RateLimited,
    Rejected,
    Stopped,
    StoreError,
    Unavailable,
)
from callsmith.executors import Maker
from callsmith.functions import function
from callsmith.patience import PatientBackend, Tally
from callsmith.rollout import Rollout, chain_seed
from callsmith.runs import Run
from callsmith.store import Store
from callsmith.tasks import BaseTask
from callsmith.verifiers import NumberVerifier


@function(inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


PROMPT = Prompt("Solve it.", {"add": add, "answer": answer_function({"type": "number"})})


class Sums(BaseTask):
    name = "sums"
    verifier = NumberVerifier()


def problems(count: int) -> list[Problem]:
    return [Problem(f"What is {n} and {n}?", 2 * n) for n in range(count)]


def solving(request: Request) -> str:
    """Adds, then answers with the sum: right, whatever the problem."""
    if not request.steps:
        n = request.problem.question.split()[2]
        return f"add({n}, {n})"
    return f"answer({request.steps[0].results[0].value})"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def begin(store: Store, name: str = "r") -> Run:
    return store.begin(name, {"task": "sums", "split": "train", "model": "m"}, {}, {}, {})


def rollout(backend: Any, seed: int = 0, **settings: Any) -> Rollout:
    if not hasattr(backend, "complete"):
        backend = ScriptedBackend([backend])
    maker = Maker(backend, PROMPT, Setup(task="sums"), run="r", **settings)
    return Rollout(Sums(), maker, seed=seed)


async def record(
    store: Store, backend: Any, count: int, attempts: int = 1, **settings: Any
) -> Tally:
    """Make what the run owes of so many problems."""
    run = begin(store)
    owed = store.owed(run, problems(count), attempts)
    return await rollout(backend, **settings).record(store, run, owed)


def recorded(store: Store, name: str = "r") -> list[tuple[Chain, Verdict]]:
    return list(store.records(store.run(name)))


class Waiting:
    """A backend that takes its time and counts how many wait at once."""

    name = "waiting"
    capabilities = ScriptedBackend([]).capabilities

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.inside = self.most = 0

    async def prepare(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(self.seconds)
        self.inside -= 1
        return Completion(solving(request))

    async def close(self) -> None: ...


# ---- many at once -------------------------------------------------------------------------------


async def test_all_that_is_owed_is_made_judged_and_recorded(store: Store) -> None:
    tally = await record(store, solving, 5, attempts=2)
    assert (tally.owed, tally.done, tally.correct, tally.in_flight) == (10, 10, 10, 0)
    found = recorded(store)
    assert Counter((c.problem.question, c.attempt) for c, _ in found) == Counter(
        (p.question, n) for p in problems(5) for n in range(2)
    )
    for chain, verdict in found:
        assert chain.answer == chain.problem.gold
        assert verdict == Verdict(True, 1.0, verdict.reason, grounded=True)
        assert chain.seed == chain_seed(0, chain.problem, chain.attempt)
        assert chain.run == "r"


async def test_chains_wait_for_the_server_together_and_no_more_than_allowed(store: Store) -> None:
    backend = Waiting(0.05)
    await record(store, backend, 40, concurrency=20)
    assert backend.most == 20


async def test_the_same_seed_gives_the_same_chains_whatever_the_concurrency(tmp_path: Path) -> None:
    def chance(request: Request) -> str:
        luck = random.Random(f"{request.seed} {len(request.steps)}")
        return luck.choice(["add(1, 1)", "add(1", "answer(2)", f"answer({luck.random()})"])

    async def made(folder: str, concurrency: int, seed: int) -> list[Any]:
        with Store(tmp_path / folder) as store:
            await record(store, chance, 20, attempts=3, concurrency=concurrency, seed=seed)
            return [(untimed(chain), verdict) for chain, verdict in recorded(store)]

    one = await made("one", 1, seed=5)
    assert await made("many", 16, seed=5) == one
    assert await made("other", 16, seed=6) != one
    assert len({chain.seed for chain, _ in one}) == 60


def untimed(chain: Chain) -> Chain:
    steps = [
        replace(s, seconds=0, results=tuple(replace(r, seconds=0) for r in s.results))
        for s in chain.steps
    ]
    return replace(chain, steps=tuple(steps), seconds=0, started="")


def test_seeds_are_such_as_every_server_reads() -> None:
    seeds = {chain_seed(s, p, n) for s in range(3) for p in problems(30) for n in range(3)}
    assert len(seeds) == 270
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_what_is_recorded_is_told_after_it_was_committed(store: Store) -> None:
    told: list[Chain] = []

    def on_record(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        told.extend(chain for chain, _ in batch)
        assert tally.done == len(told)
        with sqlite3.connect(store.path) as other:
            assert other.execute("SELECT count(*) FROM chains").fetchone()[0] >= len(told)

    run = begin(store)
    owed = store.owed(run, problems(150), 1)
    await rollout(solving).record(store, run, owed, on_record)
    assert len(told) == 150


async def test_slow_chains_are_committed_while_others_are_on_their_way(store: Store) -> None:
    """A rollout that dies in an hour must not lose the chains of its first minute."""
    seen = asyncio.Event()

    async def complete(request: Request) -> Completion:
        if request.problem.question == "What is 1 and 1?":
            await seen.wait()
        return Completion(solving(request))

    backend = Waiting(0)
    backend.complete = complete  # type: ignore[method-assign]

    def on_record(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        if batch:
            seen.set()

    run = begin(store)
    owed = store.owed(run, problems(2), 1)
    async with asyncio.timeout(20):
        await rollout(backend).record(store, run, owed, on_record)
    assert len(recorded(store)) == 2


# ---- servers that fail --------------------------------------------------------------------------


class Failing:
    """Raises the errors in order, then solves."""

    name = "failing"
    capabilities = ScriptedBackend([]).capabilities

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[float] = []

    async def prepare(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.asked.append(time.perf_counter())
        if self.errors:
            raise self.errors.pop(0)
        return Completion(solving(request))

    async def close(self) -> None: ...


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept: no test of a night takes one, and the clock goes on as if it had."""
    slept: list[float] = []
    clock = time.monotonic

    async def note(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(slept))
    return slept


async def test_a_server_that_is_away_is_asked_again_when_it_said(store: Store) -> None:
    backend = Failing(RateLimited("slower", retry_after=1.2))
    tally = await record(store, backend, 1)
    assert (tally.done, tally.retries, len(backend.asked)) == (1, 1, 3)
    assert backend.asked[1] - backend.asked[0] >= 1.2
    assert recorded(store)[0][0].faults == (), "the server's failure is not the model's"


class Crowded:
    """Takes at most five requests at once and refuses the others, until it has had 300."""

    name = "crowded"
    capabilities = ScriptedBackend([]).capabilities

    def __init__(self) -> None:
        self.inside = self.asked = self.refused = 0

    async def prepare(self) -> None: ...

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        if self.inside >= 5 and self.asked < 300:
            self.refused += 1
            raise RateLimited("too many", retry_after=0.01)
        self.inside += 1
        await asyncio.sleep(0.002)
        self.inside -= 1
        return Completion(solving(request))

    async def close(self) -> None: ...


async def test_a_server_that_wants_fewer_requests_gets_fewer_and_more_again(store: Store) -> None:
    backend = Crowded()
    seen: list[int] = []
    run = begin(store)
    owed = store.owed(run, problems(400), 1)

    def on_record(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        seen.append(tally.allowed)

    tally = await rollout(backend, concurrency=40).record(store, run, owed, on_record)
    assert tally.done == 400
    assert backend.refused < 0.2 * backend.asked, "half of them would be refused for ever"
    assert min(filter(None, seen)) <= 10
    assert tally.allowed > 10, "it was let in again"
    assert len(tally.notices) == 1, "it is said once"
    assert "the server wants fewer requests: it gets" in tally.notices[0]
    assert sum(chain.seconds for chain, _ in recorded(store)) < 400, "waiting is not the chains'"


@pytest.mark.parametrize("retry_after", [None, 0.0, 0.2, 30.0, 3600.0])
async def test_the_waits_grow_and_are_never_shorter_than_the_server_said(
    waits: list[float], retry_after: float | None
) -> None:
    backend = PatientBackend(Failing(*[RateLimited("busy", retry_after)] * 12), 12)
    await backend.complete(Request((), problem=problems(1)[0]))
    for tried, wait in enumerate(waits):
        longest = min(60, 0.5 * 2**tried)
        assert max(longest / 2, retry_after or 0) <= wait <= 1.1 * max(longest, retry_after or 0)
    assert len(set(waits)) == 12, "all that were told the same would come back at once"


async def test_a_server_that_is_always_busy_is_waited_for_as_long_as_one_that_is_away(
    waits: list[float],
) -> None:
    """``Retry-After: 0`` is what a broken one says: it must not use up the retries in a blink."""
    backend = PatientBackend(Failing(*[RateLimited("busy", 0.0)] * 100), 16)
    with pytest.raises(Unavailable, match=r"given up after 17 tries, start it again .*: busy"):
        await backend.complete(Request((), problem=problems(1)[0]))
    assert sum(waits) > 240


async def test_a_wait_that_is_worth_a_word_is_told_when_it_begins_and_when_it_ends(
    waits: list[float],
) -> None:
    """The log of a night must say why nothing happened in it."""
    away, busy = Unavailable("it is away"), RateLimited("it is busy", 60.0)
    tally = Tally()
    solved = Request((), problem=problems(1)[0])
    backend = PatientBackend(Failing(*[away] * 12), 16, tally=tally)
    await backend.complete(solved)
    begun, ended = tally.notices
    assert re.fullmatch(r"\d\d:\d\d:\d\d waiting for the server: it is away", begun)
    found = re.fullmatch(r"\d\d:\d\d:\d\d the server is back after 0:(\d\d):(\d\d)", ended)
    assert found
    assert abs(int(found[1]) * 60 + int(found[2]) - sum(waits)) < 2
    backend.inner.errors = [busy]  # type: ignore[attr-defined]
    await backend.complete(solved)
    _, _, fewer, begun, ended = tally.notices
    assert fewer.startswith("the server wants fewer requests")
    assert begun.endswith("waiting for the server: it is busy")
    assert "the server is back after" in ended
    backend.inner.errors = [away, away]  # type: ignore[attr-defined]
    await backend.complete(solved)
    assert len(tally.notices) == 5, "a hiccup is worth none"


async def test_a_server_that_wants_to_be_left_alone_for_hours_ends_the_run(
    waits: list[float],
) -> None:
    for seconds in (3601.0, 366 * 86400.0):
        backend = PatientBackend(Failing(RateLimited("the day's limit", seconds)), 16)
        until = datetime.now().astimezone() + timedelta(seconds=seconds)
        with pytest.raises(Unavailable) as raised:
            await backend.complete(Request((), problem=problems(1)[0]))
        assert re.search(
            rf"until \d\d:\d\d on .*{until:%Y}.*then.*the day's limit", str(raised.value)
        )
    assert waits == []


async def test_after_all_retries_the_run_stops_and_keeps_what_was_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.waiting.FIRST", 0.01)

    class Dying(Failing):
        async def complete(self, request: Request) -> Completion:
            if request.problem.question == "What is 4 and 4?":
                raise Unavailable("the server is away", retry_after=0)
            return await super().complete(request)

    with pytest.raises(Unavailable, match="start it again to go on: the server is away"):
        await record(store, Dying(), 8, concurrency=1, max_retries=3)
    assert len(recorded(store)) == 4
    tally = await record(store, solving, 8)
    assert (tally.owed, tally.done) == (4, 4)


async def test_a_server_that_refuses_stops_the_run_and_keeps_what_was_finished(
    store: Store,
) -> None:
    def refuse(request: Request) -> Any:
        if request.problem.question == "What is 7 and 7?":
            return Rejected("the key is wrong")
        return solving(request)

    with pytest.raises(Rejected, match="the key is wrong"):
        await record(store, refuse, 20, concurrency=3)
    done = {chain.problem.key for chain, _ in recorded(store)}
    assert 5 <= len(done) < 20
    tally = await record(store, solving, 20, attempts=2)
    assert tally.owed == 40 - len(done)
    assert len(recorded(store)) == 40


async def test_a_verifier_that_raises_is_the_tasks_failure_and_no_verdict(store: Store) -> None:
    class Broken(Sums):
        def judge(self, problem: Problem, chain: Chain) -> Verdict:
            raise KeyError("gold")

    run = begin(store)
    broken = replace(rollout(solving), task=Broken())
    with pytest.raises(PluginError) as raised:
        await broken.record(store, run, store.owed(run, problems(1), 1))
    assert str(raised.value) == (
        "the verifier of task sums failed on 'What is 0 and 0?': KeyError: 'gold'"
    )
    assert recorded(store) == []


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is opened from now on may grow by little, as on a disk that is nearly full."""
    connect = tables.connect

    def limited(path: Path) -> sqlite3.Connection:
        db = connect(path)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 20}")
        return db

    monkeypatch.setattr(tables, "connect", limited)


async def test_a_full_disk_stops_the_run_at_once_and_loses_nothing_recorded(
    store: Store, nearly_full: None
) -> None:
    run, told = begin(store), 0

    def on_record(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        nonlocal told
        told += len(batch)

    owed = store.owed(run, problems(2000), 1)
    with pytest.raises(StoreError, match="the disk is full") as raised:
        await rollout(solving).record(store, run, owed, on_record)
    assert told < 1500
    assert len(recorded(store)) == told
    left = f"{told:,} chains were recorded in run r, {2000 - told:,} are still owed"
    assert left in raised.value.__notes__[0]


async def test_a_lock_holds_up_the_writer_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other chains go on meanwhile; a lock that stays ends the run, and nothing is lost."""
    monkeypatch.setattr(tables, "PATIENCE", 0.3)
    run = begin(store)
    made = 0

    def count(request: Request) -> str:
        nonlocal made
        made += 1
        if made == 100:
            other.execute("BEGIN IMMEDIATE")
        return solving(request)

    other = sqlite3.connect(store.path, isolation_level=None)
    owed = store.owed(run, problems(500), 1)
    with pytest.raises(StoreError, match="kept locked by another process"):
        await rollout(count).record(store, run, owed)
    assert made > 150
    other.execute("ROLLBACK")
    other.close()
    again = store.owed(run, problems(500), 1)
    assert len(again) == 500 - len(recorded(store))
    await rollout(solving).record(store, run, again)
    assert len(recorded(store)) == 500


async def test_an_observer_or_progress_that_fails_is_not_swallowed(store: Store) -> None:
    def fail(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        raise ZeroDivisionError

    run = begin(store)
    with pytest.raises(ZeroDivisionError):
        await rollout(solving).record(store, run, store.owed(run, problems(1), 1), fail)


async def test_a_rollout_that_is_cancelled_keeps_what_was_finished(store: Store) -> None:
    stuck = asyncio.Event()

    async def complete(request: Request) -> Completion:
        if request.problem.question == "What is 3 and 3?":
            stuck.set()
            await asyncio.Event().wait()
        return Completion(solving(request))

    backend = Waiting(0)
    backend.complete = complete  # type: ignore[method-assign]
    making = asyncio.create_task(record(store, backend, 4, concurrency=1))
    await stuck.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert len(recorded(store)) == 3


# ---- killed and started again -------------------------------------------------------------------

PLUGIN = """
    import asyncio
    import os
    from callsmith.backends import Capabilities, Completion
    from callsmith.chain import Problem
    from callsmith.hookspecs import hookimpl
    from callsmith.tasks import BaseTask
    from callsmith.verifiers import NumberVerifier

    @hookimpl
    def callsmith_tasks():
        return {"counting": "slowly:Counting"}

    @hookimpl
    def callsmith_backends():
        return {"slowly": "slowly:Slow"}

    class Counting(BaseTask):
        name = "counting"
        verifier = NumberVerifier()

        def problems(self, split):
            return (Problem(f"What comes after {n}?", n + 1) for n in range(600))

    class Slow:
        name = "slowly"
        capabilities = Capabilities(dialects=("text",), concurrency=20)

        def __init__(self, name, *, task):
            pass

        async def prepare(self) -> None:
            pass

        async def complete(self, request):
            await asyncio.sleep(float(os.environ.get("TURN_SECONDS", "0.005")))
            n = int(request.problem.question.split()[-1][:-1])
            return Completion(f"answer({n + 1 + request.attempt})")

        async def close(self):
            pass
"""


@pytest.fixture
def teach(tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Starts ``callsmith teach`` on 600 problems, two attempts each, with a slow backend."""
    info = tmp_path / "slowly-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slowly\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[callsmith]\nslowly = slowly\n")
    (tmp_path / "slowly.py").write_text(textwrap.dedent(PLUGIN))

    def start() -> subprocess.Popen[str]:
        command = "from callsmith.cli import main; main()"
        arguments = ["teach", "-tcounting", "-mslowly", "--attempts=2", "--temperature=1"]
        return subprocess.Popen(
            [sys.executable, "-c", command, *arguments, "--json", "--home", str(tmp_path / "home")],
            # Where the tests run in the background, a shell has them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def count_chains(home: Path) -> int:
    try:
        with sqlite3.connect(f"file:{home}/callsmith.db?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM chains").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def stop_after(
    running: subprocess.Popen[str], home: Path, chains: int, how: signal.Signals
) -> None:
    """Let it record so many chains more, then send the signal."""
    wanted = count_chains(home) + chains
    while count_chains(home) < wanted:
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.05))
    running.send_signal(how)


def test_a_run_that_is_killed_at_any_moment_goes_on_with_nothing_doubled_or_lost(
    teach: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for chains in (0, 150, 450):
        running = teach()
        stop_after(running, home, chains, signal.SIGKILL)
        running.communicate()
        assert running.returncode == -signal.SIGKILL
    before = count_chains(home)
    output, errors = (last := teach()).communicate(timeout=120)
    assert last.returncode == 0, errors
    report = json.loads(output)
    assert before >= 600
    assert report["new"] == 1200 - before
    assert (report["chains"], report["problems"], report["accuracy"]) == (1200, 600, 0.5)
    with sqlite3.connect(home / "callsmith.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        made = db.execute("SELECT problem, attempt, count(*) FROM chains GROUP BY 1, 2").fetchall()
        orphans = "SELECT count(*) FROM chains c LEFT JOIN documents d ON d.chain = c.id"
        assert db.execute(f"{orphans} WHERE d.chain IS NULL").fetchone() == (0,)
    assert len(made) == 1200
    assert {count for *_, count in made} == {1}


def test_a_run_that_is_under_way_is_not_started_a_second_time(
    teach: Callable[[], subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would make all chains, and half of them be thrown away."""
    monkeypatch.setenv("TURN_SECONDS", "1")  # or it could be done before the other has begun
    first, home = teach(), tmp_path / "home"
    while count_chains(home) < 10:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    second = teach()
    _, errors = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert "Error: run 'counting-train-slowly' is under way in another process: wait" in errors
    third = teach()  # the first held it for as long as it lived
    stop_after(third, home, 10, signal.SIGKILL)
    third.communicate()


def test_ctrl_c_finishes_what_is_in_flight_and_the_same_command_goes_on(
    teach: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    running = teach()
    stop_after(running, tmp_path / "home", 100, signal.SIGINT)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert output == ""
    count = count_chains(tmp_path / "home")
    assert 100 <= count < 1200
    assert errors.strip().splitlines()[-1] == (
        f"Stopped: {count:,} chains were recorded in run counting-train-slowly, {1200 - count:,} "
        "are still owed; the same command goes on."
    )
    assert '"event": "notice"' in errors
    assert "are finished first; Ctrl-C again stops at once" in errors
    output, errors = (last := teach()).communicate(timeout=120)
    assert (last.returncode, json.loads(output)["new"]) == (0, 1200 - count), errors
    events = [json.loads(line) for line in errors.splitlines()]
    assert {"event": "progress", "done": 1200 - count, "owed": 1200 - count}.items() <= (
        events[-1].items()
    )
    assert events[-1]["correct"] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("times", [1, 2])
async def test_ctrl_c_once_finishes_what_is_in_flight_twice_drops_it(
    store: Store, times: int
) -> None:
    release = asyncio.Event()

    async def complete(request: Request) -> Completion:
        if request.problem.question == "What is 7 and 7?" and not request.steps:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.05)
            if times == 1:
                release.set()
        await release.wait()
        return Completion(solving(request))

    backend = Waiting(0)
    backend.complete = complete  # type: ignore[method-assign]
    with pytest.raises(Stopped, match="the same command goes on"):
        await record(store, backend, 100, concurrency=8)
    assert len(recorded(store)) == (8 if times == 1 else 0)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    release.set()
    assert (await record(store, solving, 100)).owed == (92 if times == 1 else 100)


# ---- early stopping -----------------------------------------------------------------------------


async def balanced(
    store: Store, attempts: int, enough: int, concurrency: int = 1
) -> tuple[Tally, Run]:
    """Problems that come right at every second attempt; the first always, the last never."""

    def turn(request: Request) -> str:
        n = int(request.problem.question.split()[2])
        right = n == 0 or (n != 3 and request.attempt % 2 == 0)
        return solving(request) if right else "answer(-1)"

    run = begin(store)
    owed = store.owed(run, problems(4), attempts)
    engine = replace(rollout(turn, concurrency=concurrency), until_both=enough)
    return await engine.record(store, run, owed), run


@pytest.mark.parametrize("concurrency", [1, 3, 64])
async def test_a_problem_with_enough_of_both_gets_no_more_attempts(
    store: Store, concurrency: int
) -> None:
    """Nor are any begun that those in flight may make needless, however many could be."""
    tally, run = await balanced(store, 10, 2, concurrency)
    made = Counter(chain.problem.question for chain, _ in recorded(store))
    assert [made[f"What is {n} and {n}?"] for n in range(4)] == [10, 4, 4, 10]
    assert (tally.done, tally.owed, tally.settled) == (28, 28, 2)
    assert store.owed(run, problems(4), 10) == []
    assert store.runs()[0].state == "complete"
    assert {problem.question[8] for problem, _ in store.owed(run, problems(4), 12)} == {"0", "3"}


async def test_what_was_there_before_counts_when_stopping_early(store: Store) -> None:
    await balanced(store, attempts=3, enough=2)
    tally, run = await balanced(store, attempts=10, enough=2)
    assert tally.done == 7 + 1 + 1 + 7
    # As if it had been killed between the commit and the settling.
    with sqlite3.connect(store.path) as db:
        db.execute("DELETE FROM settled")
    assert store.owed(run, problems(4), 10)
    tally, run = await balanced(store, attempts=10, enough=2)
    assert (tally.done, store.owed(run, problems(4), 10)) == (0, [])


async def test_a_backend_that_never_waits_can_be_interrupted(store: Store) -> None:
    """One that replays gives the loop no turn by itself."""
    making = asyncio.create_task(record(store, solving, 2000, concurrency=4))
    await asyncio.sleep(0.1)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert len(recorded(store)) < 2000


async def test_a_turn_that_is_asked_for_again_is_not_shown_twice() -> None:
    class Breaking(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            self.requests.append(request)
            assert request.on_text
            request.on_text("add(1, ")
            if len(self.requests) == 1:
                raise Unavailable("it broke off", retry_after=0.0)
            request.on_text("2)")
            return Completion("add(1, 2)")

    turns = Turns()
    patient = PatientBackend(Breaking([]), max_retries=2)
    await patient.complete(Request((), on_text=turns.write))
    assert turns.written == "add(1, 2)"


async def test_a_turn_that_takes_too_long_is_asked_for_again_and_said_so() -> None:
    class Stuck(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if len(self.requests) < 2:
                self.requests.append(request)
                await asyncio.Event().wait()
            return Completion("at last")

    tally = Tally()
    patient = PatientBackend(Stuck([]), max_retries=2, timeout=0.01, tally=tally)
    assert (await patient.complete(Request(()))).text == "at last"
    assert tally.retries == 2
    assert tally.waiting == 0
    assert "no answer within 0.01 s" in tally.trouble
    with pytest.raises(Unavailable, match="--timeout"):
        await PatientBackend(Stuck([]), max_retries=0, timeout=0.01).complete(Request(()))


async def test_a_backend_says_itself_how_long_a_turn_may_take() -> None:
    class Stuck(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            await asyncio.Event().wait()
            raise AssertionError

    stuck = Stuck([], capabilities=replace(ScriptedBackend([]).capabilities, timeout=0.01))
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        await PatientBackend(stuck, max_retries=0).complete(Request(()))


@pytest.mark.parametrize("first", ["add(1, 1)", ModelFault("it makes no sense")])
async def test_time_for_which_a_server_was_away_is_not_the_chains(
    store: Store, first: str | ModelFault
) -> None:
    """Else a server's failure would end the chain, and count as the model's."""
    away = Unavailable("away", retry_after=1.0)
    gone = iter([away, away])

    def turn(request: Request) -> str | Exception:
        if request.steps:
            return "answer(0)"
        return next(gone, first)

    await record(store, turn, 1, limits=Limits(seconds=1.5))
    ((chain, verdict),) = recorded(store)
    assert chain.stop == "answer"
    assert verdict.correct
    assert len(chain.steps) == 2
    assert chain.seconds < 1.5


async def test_a_server_is_sent_another_seed_with_every_turn(store: Store) -> None:
    """Else a turn that is forgotten would be written the same way again."""
    backend = ScriptedBackend(["add(1, 1)", "add(2, 1)", "answer(3)"])
    run = begin(store)
    await rollout(backend).record(store, run, store.owed(run, problems(1), 2))
    first, second = ([r.turn_seed for r in backend.requests if r.attempt == a] for a in (0, 1))
    assert first == [first[0], first[0] + 1, first[0] + 2]
    assert not set(first) & set(second)
