"""Short versions of the benchmarks that disturb the engine: see benchmarks/README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("disturbance", ["kill", "fill_the_disk", "lose_the_server"])
def test_a_run_that_is_cut_off_ends_with_exactly_what_was_owed(
    disturbance: str, tmp_path: Path
) -> None:
    import random

    import crash

    server = crash.ArithmeticServer(latency=0.02)  # slow enough to be cut off well before its end
    try:
        run = crash.Run(tmp_path, server, random.Random(1))
        if disturbance == "fill_the_disk":
            run.fill_the_disk()
        else:
            getattr(run, disturbance)(100)
        run.look()
        assert 0 < len(run.seen) < crash.CHAINS
        run.finish()
    finally:
        server.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="what is open is read from /proc")
def test_a_long_run_leaves_nothing_open() -> None:
    import soak

    found = soak.soak(400)
    assert found.left_open == []
    assert found.most_tasks < 200


@pytest.mark.parametrize(("model", "problems"), [("reference", 100), ("tiny:student", 20)])
def test_the_same_seed_gives_the_same_chains_however_they_are_made(
    model: str, problems: int
) -> None:
    import determinism

    found = determinism.differences(model, problems, [])
    assert len(found) == 2
    assert set(found.values()) == {0}
