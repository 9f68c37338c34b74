"""What a chain costs on a Ray cluster, and how many nodes one driver can therefore keep busy.

The same chains of a model that answers at once (`reference`) are made here and on a local cluster
of two nodes, and parts of what the driver does with a chain are measured alone. Then the exchange
alone, between driver and one worker: CPU and round trip by the number of chains that it carries.
What all this predicts is printed last.

    python benchmarks/ray_overhead.py [--chains 2000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import pickle
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from callsmith import RolloutConfig, Workspace
from callsmith.chain import dump, load_chain
from callsmith.executors import Job
from callsmith.rollout import chain_seed, judge

MEMORY = 80 * 2**20
SIZES = (1, 8, 64)
"""Chains that one exchange carries."""

BUSY = 0.7
"""The part of a core that a driver may use before chains wait for it."""


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def configuration(executor: str, chains: int) -> RolloutConfig:
    return RolloutConfig(
        task="wordproblems",
        task_options={"size": chains},
        model="reference",
        executor=executor,
        concurrency=64,
        run="r",
    )


def whole(executor: str, chains: int) -> tuple[float, float]:
    """Milliseconds of this process's CPU for a chain, and chains per second, start included."""
    with tempfile.TemporaryDirectory() as home:
        began, used = time.perf_counter(), cpu()
        report = Workspace(home).teach(configuration(executor, chains))
        assert report.tally.done == chains
        return 1000 * (cpu() - used) / chains, chains / (time.perf_counter() - began)


def parts(chains: int) -> dict[str, float]:
    """Milliseconds of CPU for a chain of what a driver does with it, and bytes each way."""
    with tempfile.TemporaryDirectory() as home:
        work, config = Workspace(home), configuration("local", chains)
        work.teach(config)
        task = work.task(config)
        with work.store() as store:
            records = list(store.records(store.run("r")))
        made = [chain for chain, _ in records]
        lines = [dump(chain) for chain in made]
        jobs = [(0, Job(c.problem, c.attempt, chain_seed(0, c.problem, c.attempt))) for c in made]

        def each(work: Callable[[], Any]) -> float:
            used = cpu()
            work()
            return 1000 * (cpu() - used) / chains

        facts = {
            "reading": each(lambda: [load_chain(line) for line in lines]),
            "judging": each(lambda: [judge(task, chain.problem, chain) for chain in made]),
            "bytes of a chain": sum(map(len, lines)) / chains,
            "bytes of a job": len(pickle.dumps(jobs)) / chains,
        }
        with Workspace(f"{home}/other").store() as store:
            run = store.begin("r", {"task": "w", "split": "train", "model": "m"}, {}, {}, {})
            batches = [records[i : i + 64] for i in range(0, chains, 64)]
            facts["store"] = each(lambda: [store.add(run, batch) for batch in batches])
    return facts


def exchanges(line: str) -> dict[int, tuple[float, float]]:
    """By chains carried: milliseconds of the driver's CPU for a chain, and of the round trip."""
    import ray

    class Echo:
        async def exchange(self, lines: list[str]) -> list[str]:
            return lines

    actor = ray.remote(Echo).options(num_cpus=0).remote()

    async def measure(size: int, times: int = 300) -> tuple[float, float]:
        await actor.exchange.remote([])
        began, used = time.perf_counter(), cpu()
        for _ in range(times):
            await actor.exchange.remote([line] * size)
        took = time.perf_counter() - began
        return 1000 * (cpu() - used) / times / size, 1000 * took / times

    return {size: asyncio.run(measure(size)) for size in SIZES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    # Ray's workers have the lowest priority but a few: on a busy machine that is what is measured.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    import ray
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        work = [name for _ in range(arguments.rounds) for name in ("local", "ray")]
        found: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
        whole("ray", 64)  # imports are no chain's
        for name in track(work, "measuring", console=Console(stderr=True), transient=True):
            found[name].append(whole(name, arguments.chains))
        facts = parts(arguments.chains)
        carried = exchanges("x" * round(facts["bytes of a chain"]))
    finally:
        ray.shutdown()
        cluster.shutdown()
    show(found, facts, carried, arguments.chains)


def show(
    found: dict[str, list[tuple[float, float]]],
    facts: dict[str, float],
    carried: dict[int, tuple[float, float]],
    chains: int,
) -> None:
    console = Console()
    table = Table(title=f"{chains} chains, 64 in flight", title_justify="left", box=None)
    for column in ("executor", "CPU ms/chain, this process", "chains/s"):
        table.add_column(column, justify="left" if column == "executor" else "right")
    median = {
        name: tuple(map(statistics.median, zip(*rounds, strict=True)))
        for name, rounds in found.items()
    }
    for name, (used, rate) in median.items():
        table.add_row(name, f"{used:.2f}", f"{rate:.0f}")
    console.print(table)
    console.print(
        f"of a chain, CPU ms: store {facts['store']:.2f}, reading {facts['reading']:.2f}, judging "
        f"{facts['judging']:.2f}; bytes: {facts['bytes of a job']:,.0f} there, "
        f"{facts['bytes of a chain']:,.0f} back",
        soft_wrap=True,
    )
    table = Table(title="an exchange with a worker", title_justify="left", box=None)
    for column in ("chains in it", "driver's CPU ms/chain", "round trip ms"):
        table.add_column(column, justify="right")
    for size, (used, took) in carried.items():
        table.add_row(str(size), f"{used:.3f}", f"{took:.2f}")
    console.print(table)
    # With a model that answers at once exchanges were full: what they cost is put in anew.
    kept = median["ray"][0] - carried[max(SIZES)][0]
    rows = {size: 1000 * BUSY / (kept + used) for size, (used, _) in carried.items()}
    size = facts["bytes of a job"] + facts["bytes of a chain"]
    for count, rate in rows.items():
        console.print(
            f"limit with {count} chains an exchange, the driver's loop busy to {BUSY:.0%}: "
            f"{rate:,.0f} chains/s, {rate * size / 1e6:.1f} MB/s; nodes that make 10 chains/s "
            f"each: {rate / 10:,.0f}",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
