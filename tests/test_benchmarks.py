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
