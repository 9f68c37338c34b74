"""Rollouts on a local Ray cluster of several nodes: the same chains, whatever is lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from callsmith import RolloutConfig, Workspace
from callsmith.backends import Completion
from callsmith.chain import Call, Chain, Usage, dump
from callsmith.errors import DataError, PluginError, Rejected, Unavailable
from callsmith.patience import Tally
from callsmith.testing import BAD_DAYS, BadDay, FaultServer, OpenAIWire, Sent
from callsmith.testing.faults import Exchange
from callsmith.workspace import RunReport

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

Turn = Callable[[int], None]


class Adder:
    """A model that adds the two numbers of a problem and answers; ``on_turn`` is told its turns."""

    def __init__(self, on_turn: Turn = lambda turn: None) -> None:
        self.on_turn = on_turn
        self.turns = 0

    def __call__(self, sent: Sent) -> Completion:
        question = next(m["content"] for m in sent.messages if m["role"] == "user")
        numbers = re.findall(r"What is (\d+) plus (\d+)\?", question)
        if not numbers:  # how a backend finds out what the server can do
            return Completion("Hello.")
        self.turns += 1
        self.on_turn(self.turns)
        results = [m["content"] for m in sent.messages if m["role"] == "tool"]
        a, b = map(int, numbers[0])
        if results:
            call = Call("answer", {"value": int(results[-1])}, f"answer{a:03}")
        else:
            call = Call("add", {"a": a, "b": b}, f"first{a:04}")
        return Completion("", (call,), "tool_calls", Usage(20, 5))


@contextmanager
def serving(model: Adder) -> Iterator[FaultServer]:
    """A server with this model, in a thread of its own."""
    server, started = FaultServer(OpenAIWire(), model), threading.Event()
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        async with server:
            started.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


@pytest.fixture
def sums(tmp_path: Path) -> str:
    """A task of 60 sums, as a file."""
    rows = [{"question": f"What is {n} plus 5?", "answer": n + 5} for n in range(60)]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def asking(server: FaultServer, task: str, **settings: Any) -> RolloutConfig:
    defaults = {"functions": ("math.add",), "dialect": "native", "run": "r", "concurrency": 8}
    model = f"openai:tiny@{server.url}"
    return RolloutConfig(task=task, model=model, executor="ray", **(defaults | settings))


def recorded(work: Workspace, config: RolloutConfig) -> list[Chain]:
    with work.store() as store:
        return [chain for chain, _ in store.records(store.run(config.name))]


def untimed(chain: Chain) -> str:
    """The chain as JSON, without what was measured: times, and tokens read from a cache."""
    steps = tuple(
        replace(
            step,
            seconds=0,
            usage=replace(step.usage, cached=0),
            results=tuple(replace(result, seconds=0) for result in step.results),
        )
        for step in chain.steps
    )
    return dump(replace(chain, steps=steps, started="", seconds=0))


def check_each_once(chains: list[Chain], report: RunReport | None = None) -> None:
    assert sorted(chain.problem.gold for chain in chains) == [n + 5 for n in range(60)]
    assert all(chain.answer == chain.problem.gold for chain in chains)


def workers(under: int | None = None) -> list[psutil.Process]:
    """The processes of chain workers: of the whole cluster, or under one process of it."""
    found = []
    for process in psutil.Process(under).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "ray::ChainWorker" in " ".join(process.cmdline()):
                found.append(process)
    return found


# ---- the same chains ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_here_and_on_the_cluster_resumed_or_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    def made(folder: str, *starts: dict[str, Any]) -> list[str]:
        work = Workspace(tmp_path / folder)
        asked: dict[str, Any] = {"task": "wordproblems", "model": "reference", "run": "r"}
        asked |= {"task_options": {"size": 80}, "attempts": 2, "seed": 7}
        for settings in starts:
            config = RolloutConfig(**asked | settings)
            work.teach(config)
        return sorted(untimed(chain) for chain in recorded(work, config))

    on_ray = {"executor": "ray"}
    here = made("here", {"concurrency": 1})
    assert len(set(here)) == 160
    assert made("here-64", {"concurrency": 64}) == here
    assert made("ray", on_ray | {"concurrency": 1}) == here
    assert made("ray-64", on_ray | {"concurrency": 64}) == here
    begun, more = {"limit": 30, "attempts": 1}, {"limit": 60, "concurrency": 64}
    assert made("resumed", on_ray | begun, more, on_ray | {"concurrency": 64}) == here


def test_a_model_of_local_weights_is_loaded_by_the_workers(
    cluster: Cluster, tmp_path: Path
) -> None:
    pytest.importorskip("callsmith_tiny")

    def made(folder: str, **settings: Any) -> list[str]:
        work = Workspace(tmp_path / folder)
        config = RolloutConfig(
            task="wordproblems",
            task_options={"size": 12},
            model="tiny:student",
            max_tokens=48,
            **settings,
        )
        work.teach(config)
        return sorted(untimed(chain) for chain in recorded(work, config))

    on_ray = {"executor": "ray", "executor_options": {"workers": 1}}
    assert made("ray", **on_ray, concurrency=64) == made("here", concurrency=1)


# ---- what is lost -------------------------------------------------------------------------------


def test_a_node_that_is_killed_loses_no_chain(cluster: Cluster, tmp_path: Path, sums: str) -> None:
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    (raylet,) = node.all_processes["raylet"]
    killed = threading.Event()

    async def hold(exchange: Exchange) -> None:
        # A worker that is still opening asks what the server can do, and is told at once.
        while exchange.good.calls and not killed.is_set():
            await asyncio.sleep(0.01)
        await exchange.send(exchange.response())

    def begin(turn: int) -> None:
        if turn == 1:
            server.coming.extend([BadDay("takes its time", hold, (Completion,))] * 60)

    def kill(tally: Tally, batch: object) -> None:
        if tally.in_flight == 40 and not killed.is_set():
            # As when the power fails: by itself Ray ends a lost node's workers somewhat later.
            theirs = workers(raylet.process.pid)
            cluster.remove_node(node, allow_graceful=False)
            for process in theirs:
                process.kill()
            killed.set()

    work = Workspace(tmp_path / "home")
    with serving(Adder(begin)) as server:
        # As many workers as there are CPUs, so that there is one on every node.
        config = asking(server, sums, concurrency=40, executor_options={"workers": 5})
        report = work.teach(config, kill)
    assert report.tally.done == 60
    check_each_once(recorded(work, config))
    (lost,) = report.tally.notices
    assert lost.startswith(
        "a Ray worker is lost, and the 8 chains that it had in flight go to the 4 others: "
    )


def test_the_chains_of_the_last_worker_are_owed_to_the_next_start(
    cluster: Cluster, tmp_path: Path, sums: str
) -> None:
    def kill(turn: int) -> None:
        if turn == 40:
            for process in workers():
                process.kill()

    work = Workspace(tmp_path / "home")
    with serving(Adder(kill)) as server:
        config = asking(server, sums)
        with pytest.raises(Unavailable, match=r"(?s)all \d Ray workers are lost.*the same command"):
            work.teach(config)
        before = len(recorded(work, config))
        assert 0 < before < 60
        assert work.teach(config).tally.done == 60 - before
    check_each_once(recorded(work, config))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_no_worker_and_goes_on(
    cluster: Cluster, tmp_path: Path, sums: str, how: signal.Signals
) -> None:
    driver: subprocess.Popen[str]

    def stop(turn: int) -> None:
        if turn == 50:
            driver.send_signal(how)

    with serving(Adder(stop)) as server:
        config = asking(server, sums)
        command = [sys.executable, "-m", "callsmith", "teach", "--problems", sums]
        command += ["-m", config.model]
        command += ["-f", "math.add", "--dialect", "native", "--run", "r", "-j", "8"]
        command += ["--home", str(tmp_path / "home"), "--executor", "ray"]
        command += ["--address", cluster.address]
        driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _, said = driver.communicate()
        assert driver.returncode == (130 if how == signal.SIGINT else -how), said
        psutil.wait_procs(workers(), timeout=60)
        assert not workers()
        work = Workspace(tmp_path / "home")
        before = len(recorded(work, config))
        assert before < 60
        assert work.teach(config).tally.done == 60 - before
    check_each_once(recorded(work, config))


# ---- what is refused ----------------------------------------------------------------------------


def test_a_node_with_other_plugins_is_refused_in_one_sentence(
    cluster: Cluster, tmp_path: Path
) -> None:
    node = cluster.add_node(
        num_cpus=1,
        object_store_memory=80 * 2**20,
        env_vars={"CALLSMITH_DISABLE": "callsmith-logic"},
    )
    try:
        config = RolloutConfig(task="wordproblems", model="reference", executor="ray")
        with pytest.raises(PluginError) as refused:
            Workspace(tmp_path).teach(config)
    finally:
        cluster.remove_node(node)
    assert re.fullmatch(
        r'[^.]*callsmith-logic was "[\d.]+", now absent[^.]*same versions[^.]*on the Ray node.*',
        str(refused.value),
    )


def test_what_a_server_refuses_stops_the_run_and_keeps_what_was_finished(
    cluster: Cluster, tmp_path: Path, sums: str
) -> None:
    def refuse(turn: int) -> None:
        if turn == 40:
            server.refuses = (401, "this key is no longer good")

    work = Workspace(tmp_path / "home")
    with serving(Adder(refuse)) as server:
        config = asking(server, sums)
        with pytest.raises(Rejected, match=r"key.*on the Ray node"):
            work.teach(config)
        server.refuses = None
        before = len(recorded(work, config))
        assert 0 < before < 60
        assert work.teach(config).tally.done == 60 - before
    check_each_once(recorded(work, config))


def test_functions_without_a_name_can_not_go_to_workers(tmp_path: Path) -> None:
    from callsmith import function

    @function(inline=True)
    def double(a: int) -> int:
        """Double a."""
        return 2 * a

    config = RolloutConfig(
        task="wordproblems", model="reference", shots=0, functions=(double,), executor="ray"
    )
    with pytest.raises(PluginError, match="give them by name"):
        Workspace(tmp_path).teach(config)


@pytest.mark.parametrize("option", [{"workers": 0}, {"workers": "two"}, {"gpus": -1}, {"of": 1}])
def test_options_that_can_not_be_are_refused(tmp_path: Path, option: dict[str, Any]) -> None:
    config = RolloutConfig(
        task="wordproblems", model="reference", executor="ray", executor_options=option
    )
    with pytest.raises(DataError, match=next(iter(option))):
        Workspace(tmp_path).teach(config)


def test_more_than_any_node_has_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    config = RolloutConfig(
        task="wordproblems", model="reference", executor="ray", executor_options={"gpus": 1}
    )
    with pytest.raises(DataError, match=r"no node .* 1 GPUs"):
        Workspace(tmp_path).teach(config)


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "callsmith", "teach", "-t", "wordproblems", "-m", "reference"]
    command += ["-n", "2", "--home", str(tmp_path), "--executor", "ray", "--address", "127.0.0.1:9"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Error: no Ray cluster answers at 127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr


# ---- what is seen -------------------------------------------------------------------------------


def test_retries_on_the_workers_are_counted_here(
    cluster: Cluster, tmp_path: Path, sums: str
) -> None:
    day = next(day for day in BAD_DAYS if day.name == "answers 429 with Retry-After in seconds")

    def begin(turn: int) -> None:
        if turn == 20:
            server.coming.extend([day, day])

    work = Workspace(tmp_path / "home")
    with serving(Adder(begin)) as server:
        report = work.teach(asking(server, sums))
    assert (report.tally.done, report.tally.retries, report.tally.waiting) == (60, 2, 0)
    assert "too many requests" in report.tally.trouble


def test_no_more_are_in_flight_than_on_one_machine(
    cluster: Cluster, tmp_path: Path, sums: str
) -> None:
    seen: list[int] = []
    work = Workspace(tmp_path / "home")
    with serving(Adder()) as server:
        work.teach(asking(server, sums, concurrency=5), lambda t, _: seen.append(t.in_flight))
    assert max(seen) <= 5


def test_a_run_that_owes_nothing_starts_no_cluster(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    config = RolloutConfig(task="wordproblems", model="reference", limit=5)
    work.teach(config)
    on_ray = replace(config, executor="ray", executor_options={"address": "127.0.0.1:9"})
    assert work.teach(on_ray).tally.done == 0


def test_ray_is_imported_by_nobody_who_does_not_ask_for_it() -> None:
    code = (
        "import sys; from callsmith.plugins import load_registry; "
        "load_registry().executor('ray'); assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
