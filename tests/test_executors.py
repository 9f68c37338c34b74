"""Executors: what they are given is enough to make the same chains somewhere else."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callsmith.chain import Chain
from callsmith.configs import RolloutConfig
from callsmith.errors import DataError, PluginError
from callsmith.executors import Job, MakerSpec
from callsmith.functions import function
from callsmith.patience import Tally
from callsmith.workspace import Workspace

CONFIG = RolloutConfig(task="wordproblems", model="tiny:student", limit=6, temperature=1.0, shots=1)

WORKER = """
import asyncio, pickle, sys
from callsmith.patience import Tally

async def work():
    spec, jobs = pickle.load(sys.stdin.buffer)
    async with spec.open() as maker, maker.start(Tally()) as make:
        return [await make(job) for job in jobs]

sys.stdout.buffer.write(pickle.dumps(asyncio.run(work())))
"""


def untimed(chain: Chain) -> Chain:
    steps = tuple(
        replace(s, seconds=0, usage=replace(s.usage, cached=0),
                results=tuple(replace(r, seconds=0) for r in s.results))
        for s in chain.steps
    )  # fmt: skip
    return replace(chain, steps=steps, seconds=0, started="")


def spec_of(workspace: Workspace, config: RolloutConfig) -> MakerSpec | None:
    async def work() -> MakerSpec | None:
        maker = await workspace.maker(config)
        await maker.backend.close()
        return maker.spec

    return asyncio.run(work())


def test_another_process_makes_the_same_chains(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    report = workspace.teach(CONFIG)
    with workspace.store() as store:
        recorded = [chain for chain, _ in store.records(report.run)]
    jobs = [Job(chain.problem, chain.attempt, chain.seed) for chain in recorded]
    made = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=pickle.dumps((spec_of(workspace, CONFIG), jobs)),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert len(recorded) == 6
    chains: list[Chain] = pickle.loads(made.stdout)
    assert [untimed(chain) for chain in chains] == [untimed(chain) for chain in recorded]


def test_a_worker_with_other_plugins_or_another_prompt_is_refused(tmp_path: Path) -> None:
    spec = spec_of(Workspace(tmp_path), CONFIG)
    assert spec

    async def open_one(changed: MakerSpec) -> None:
        async with changed.open():
            raise AssertionError("it was opened")

    older = replace(spec.setup, plugins={**spec.setup.plugins, "callsmith-math": "0.0.1"})
    with pytest.raises(PluginError, match=r"callsmith-math was \"0\.0\.1\", now"):
        asyncio.run(open_one(replace(spec, setup=older)))
    with pytest.raises(PluginError, match="another prompt"):
        asyncio.run(open_one(replace(spec, config=replace(spec.config, shots=0))))


def test_functions_that_have_no_name_can_not_be_made_elsewhere(tmp_path: Path) -> None:
    @function(inline=True)
    def double(a: float) -> float:
        """Twice a."""
        return 2 * a

    assert spec_of(Workspace(tmp_path), replace(CONFIG, functions=(double,), shots=0)) is None


def test_an_executor_is_chosen_by_name_and_refused_in_one_sentence(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    if "ray" not in workspace.registry.names("executors"):
        with pytest.raises(PluginError, match="'ray' here: install it with: pip install"):
            workspace.teach(replace(CONFIG, executor="ray"))
    with pytest.raises(PluginError, match="there is no executor 'slurm'; there are local"):
        workspace.teach(replace(CONFIG, executor="slurm"))
    with pytest.raises(DataError, match="executor 'local' has no option 'address'"):
        workspace.teach(replace(CONFIG, executor_options={"address": "somewhere"}))


def test_chains_that_were_finished_are_given_before_an_error_is_raised(tmp_path: Path) -> None:
    """What an executor owes whoever uses it, shown on the local one."""

    async def work() -> tuple[list[int], int]:
        config = replace(CONFIG, model="reference", temperature=0.0, concurrency=4)
        workspace = Workspace(tmp_path)
        maker = await workspace.maker(config)
        problems = list(workspace.task(config).problems("train"))[:8]
        plan: Any = maker.backend

        def fail_on_the_last(problem: Any, attempt: int, real: Any = plan.plan) -> Any:
            if attempt == 7:
                raise ZeroDivisionError
            return real(problem, attempt)

        plan.plan = fail_on_the_last
        jobs = (Job(problem, attempt, 0) for attempt, problem in enumerate(problems))
        tally = Tally()
        given: list[int] = []

        async def take() -> None:
            async for chain in workspace.registry.executor("local").run(jobs, maker, tally):
                given.append(chain.attempt)

        with pytest.raises(ZeroDivisionError):
            await take()
        return sorted(given), tally.in_flight

    given, in_flight = asyncio.run(work())
    assert set(range(4)) <= set(given) < set(range(8))
    assert in_flight == 0
