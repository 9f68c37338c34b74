from __future__ import annotations

import time
from collections import Counter

import pytest

from callsmith.cli.progress import rollout_progress
from callsmith.patience import Tally


def test_a_log_gets_a_line_each_minute(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(owed=1_000, in_flight=8, notices=["the server is [away]"])
    with rollout_progress("sums-train-toy") as show:
        show(tally, [])
        assert capsys.readouterr().err == "the server is [away]\n"
        tally.done, tally.correct, tally.faults = 250, 125, Counter(timeout=2)
        tally.began = time.perf_counter() - 100
        show(tally, [])
        show(tally, [])
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith("sums-train-toy: 250 of 1,000 chains · 50% correct (44–56) · 2.5 ")
        assert line.endswith("8 in flight · faults: timeout 2 · 0:05:00 left")
        tally.began -= 60
        show(tally, [])
        assert "left" in capsys.readouterr().err
