"""The trainers, held to what anybody's are held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsmith.testing import check_trainer

QUICK = {"steps": 2, "batch_size": 2, "checkpoint_every": 1}


@pytest.mark.parametrize("name", ["dpo", "sft"])
def test_a_trainer_is_all_that_callsmith_relies_on(name: str, student: Path) -> None:
    report = check_trainer(name, student, QUICK)
    report.raise_if_failed()
    assert not report.skipped
