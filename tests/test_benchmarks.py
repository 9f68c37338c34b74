"""Short versions of the benchmarks. What is asked of them here is far from what they reach, so that
a busy machine breaks no test; the limits themselves are in benchmarks/, and what was measured in
benchmarks/RESULTS.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def measured(name: str, *options: str) -> Any:
    command = [sys.executable, str(BENCHMARKS / name), *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_step_costs_a_few_bare_ones_and_no_more_in_a_long_chain() -> None:
    found = measured("loop_overhead.py", "--no-peers", "--rounds", "2")
    ours, bare = found["callsmith"], found["bare loop"]
    assert all(ours[steps] < 4 * bare[steps] for steps in bare)
    assert ours["200"] < 2 * ours["10"]


def test_a_rollout_costs_a_few_bare_requests() -> None:
    found = measured("throughput.py", "--chains", "64", "--rounds", "1")
    ours, bare = found["callsmith"], found["bare aiohttp"]
    assert ours["CPU ms/request"] < 5 * bare["CPU ms/request"]
    assert ours["peak MB"] < 2 * bare["peak MB"]


def test_a_store_is_read_without_holding_it() -> None:
    """Four times the chains take no more memory; what is owed is known in constant memory."""
    few, many = (measured("store_scale.py", "--chains", chains) for chains in ("2000", "8000"))
    for part in few.keys() - {"owed", "owed, one attempt more"}:
        assert many[part]["memory"] < 1.25 * few[part]["memory"]
