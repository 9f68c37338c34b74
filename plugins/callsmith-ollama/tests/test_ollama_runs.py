"""Whole chains by a model in Ollama, in every dialect, and through the end of the server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ollama_shim import Shim

from callsmith import RolloutConfig, Workspace
from callsmith.chain import Chain, Verdict
from callsmith.patience import Tally


def config(name: str, **fields: Any) -> RolloutConfig:
    """The problems that the tiny model was trained on: it solves most of them."""
    settings = {"task": "wordproblems", "split": "test", "limit": 12, "max_tokens": 48, "shots": 0}
    return RolloutConfig(model=f"ollama:{name}", **(settings | fields))


def recorded(work: Workspace, name: str) -> list[tuple[Chain, Verdict]]:
    with work.store() as store:
        return list(store.records(store.run(name)))


@pytest.mark.parametrize("dialect", ["native", "text"])
def test_problems_are_solved_in_the_dialect(shim: Shim, tmp_path: Path, dialect: Any) -> None:
    work = Workspace(tmp_path)
    run = config(f"tiny@{shim.url}", dialect=dialect)
    work.teach(run)
    chains = recorded(work, run.name)
    assert len(chains) == 12
    assert sum(verdict.correct for _, verdict in chains) >= 8
    steps = [step for chain, _ in chains for step in chain.steps]
    assert {step.finish for step in steps} == {"stop"}
    assert not any(step.from_text for step in steps)
    assert all(step.usage.completion for step in steps)


@pytest.mark.parametrize(
    ("fields", "dialect"),
    [
        ({"dialect": "native"}, "native"),
        ({"dialect": "text"}, "text"),
        ({"constrain": True}, "json"),
    ],
)
def test_chains_of_any_model_are_recorded(
    ollama: Any, tmp_path: Path, fields: dict[str, Any], dialect: str
) -> None:
    work = Workspace(tmp_path)
    brief = {"limit": 2, "steps": 4, "max_tokens": 256, "model_options": {"think": False}}
    run = config(ollama.name, **brief, **fields)
    work.teach(run)
    chains = [chain for chain, _ in recorded(work, run.name)]
    assert len(chains) == 2
    assert all(chain.setup.dialect == dialect for chain in chains)
    assert all(step.usage.completion for chain in chains for step in chain.steps)


def test_a_model_held_to_calls_writes_nothing_else(shim: Shim, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    # It never learnt JSON: only by chance does it come to the end of a number.
    hot = {"temperature": 10.0, "extra": {"top_k": 0}, "max_tokens": 200, "steps": 3}
    run = config(f"tiny@{shim.url}", constrain=True, limit=5, **hot)
    work.teach(run)
    chains = [chain for chain, _ in recorded(work, run.name)]
    assert {chain.setup.dialect for chain in chains} == {"json"}
    whole = [step for chain in chains for step in chain.steps if step.finish == "stop"]
    assert whole
    faults = [fault for step in whole for fault in step.faults]
    assert not {fault.kind for fault in faults} & {"no_call", "unknown_function", "bad_arguments"}
    # Valid JSON, and yet beyond what a number can be.
    assert all("infinite" in fault.message for fault in faults if fault.kind == "unparsable")


def test_64_chains_at_once(shim: Shim, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    run = config(f"tiny@{shim.url}", limit=64, concurrency=64)
    work.teach(run)
    chains = recorded(work, run.name)
    assert len(chains) == 64
    assert sum(verdict.correct for _, verdict in chains) >= 40


def test_a_server_that_is_killed_and_comes_back_costs_no_chain(
    start_shim: Callable[..., Shim], tmp_path: Path
) -> None:
    shim = start_shim()
    work = Workspace(tmp_path)
    run = config(f"tiny@{shim.url}", limit=60, attempts=4, temperature=1.0)
    killed: list[threading.Timer] = []

    def kill_once(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        if tally.done and not killed:
            shim.kill()
            killed.append(threading.Timer(0.5, shim.start))
            killed[0].start()

    report = work.teach(run, kill_once)
    killed[0].join()
    chains = [chain for chain, _ in recorded(work, run.name)]
    once = Counter((chain.problem.key, chain.attempt) for chain in chains)
    assert len(chains) == len(once) == 240
    assert report.tally.retries > 0
    assert not any(fault.kind == "model" for chain in chains for fault in chain.faults)


def test_a_conversation_that_outgrows_the_model_ends_its_chain(shim: Shim, tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    run = config(f"tiny@{shim.url}", model_options={"num_ctx": 40}, limit=6)
    work.teach(run)
    stops = {chain.stop for chain, _ in recorded(work, run.name)}
    assert "context" in stops


def test_the_commands_say_what_they_do(shim: Shim, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "callsmith", *arguments, "--home", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    far = f"ollama:tiny-far@{shim.url}"
    ask = ["ask", "-t", "wordproblems", "--problem", "3", "--split", "test", "-m", far]
    code, said = run(*ask)
    assert code == 2
    assert "ollama pull tiny-far" in said
    code, said = run(*ask, "--pull", "--max-tokens", "48", "--shots", "0")
    assert code == 0
    assert "answer 32" in said
    assert "dialect native: Ollama says that tiny-far takes functions" in said
    code, said = run("models", f"ollama@{shim.url}")
    assert code == 0
    assert "tiny-far:latest" in said
