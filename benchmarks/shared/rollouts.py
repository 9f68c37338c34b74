"""A rollout as a user runs it: a task, a model, a store in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.meters import Meter

from callsmith import Problem, RolloutConfig, Workspace
from callsmith.tasks import BaseTask


def roll_out(
    home: Path, problems: list[Problem], task: BaseTask, model: Any, **settings: Any
) -> dict[str, float]:
    """What the meter shows of making all chains, one for each problem.

    From the first chain on: the start of a run (plugins, the server's models) is left out.
    ``model`` is a name, or a backend.
    """
    task.problems = lambda split: problems  # type: ignore[method-assign]
    name = model if isinstance(model, str) else model.name
    given = task

    class Here(Workspace):
        def task(self, config: Any) -> Any:
            return given

        def backend(self, *wanted: Any) -> Any:
            return super().backend(*wanted) if isinstance(model, str) else model

    meter = Meter()
    config = RolloutConfig(task=task.name, model=name, **settings)
    report = Here(home).teach(config, on_ready=lambda choice: meter.start())
    used = meter.read()
    assert report.tally.done == len(problems)
    return used
