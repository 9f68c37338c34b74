from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from callsmith.chain import Chain, Problem, Verdict
from callsmith.configs import RolloutConfig
from callsmith.errors import DataError
from callsmith.evaluation import Evaluation, evaluate
from callsmith.pipeline import Outcome, Watcher, load_outcome, outcome_path, run_recipe
from callsmith.recipe import EvalPart, Recipe
from callsmith.workspace import Workspace


class Judging(Workspace):
    """Every model is right on the one problem there is."""

    def evaluate(self, config: RolloutConfig, on_record: Any = None) -> Evaluation:
        return evaluate([(Chain(Problem("2 + 2?")), Verdict(True))])


class Silent:
    def rollout(self, part: RolloutConfig) -> Any:
        return nullcontext(lambda *_: None)


def started(home: Path) -> tuple[Workspace, Outcome]:
    """A recipe that judges two models, run to its end."""
    problems = home / "problems.jsonl"
    problems.write_text(json.dumps({"question": "2 + 2?", "answer": 4}) + "\n")
    a = EvalPart(task=str(problems), model="reference", label="a")
    b = replace(a, label="b", baseline="a", functions=())
    workspace = Judging(home)
    recipe = Recipe(name="sums", eval=(a, b))
    return workspace, run_recipe(workspace, recipe, cast(Watcher, Silent()))


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    workspace, outcome = started(tmp_path)
    found = load_outcome(workspace, "sums")
    assert found.to_json() == outcome.to_json()
    assert found.recipe == outcome.recipe
    assert found.evaluations == outcome.evaluations
    assert found.finished
    assert found.versions.keys() >= {"python", "callsmith"}


def test_the_time_of_earlier_starts_is_not_forgotten(tmp_path: Path) -> None:
    workspace, outcome = started(tmp_path)
    path = outcome_path(workspace, "sums")
    earlier = outcome.to_json() | {"seconds": {"eval a": 100.0, "eval gone": 5.0}}
    path.write_text(json.dumps(earlier))
    _, again = started(tmp_path)
    assert again.seconds.keys() == {"eval a", "eval b"}
    assert 100 < again.seconds["eval a"] < 160
    assert again.seconds["eval b"] < 60


def test_a_start_that_had_nothing_left_to_do_keeps_the_date(tmp_path: Path) -> None:
    workspace, outcome = started(tmp_path)
    path, day = outcome_path(workspace, "sums"), "2025-01-01T00:00:00+00:00"
    path.write_text(json.dumps(outcome.to_json() | {"finished": day}))
    assert started(tmp_path)[1].finished == day
    older = outcome.to_json() | {"finished": day, "versions": {"python": "3.11.0"}}
    path.write_text(json.dumps(older))
    assert started(tmp_path)[1].finished > day


def test_an_outcome_that_cant_be_read_is_said_and_replaced_by_the_next_start(
    tmp_path: Path,
) -> None:
    workspace, _ = started(tmp_path)
    outcome_path(workspace, "sums").write_text('{"recipe": {}}')
    with pytest.raises(DataError, match="was not written by this version"):
        load_outcome(workspace, "sums")
    started(tmp_path)
    assert load_outcome(workspace, "sums").evaluations
    with pytest.raises(DataError, match=r"no recipe called 'sum' .* \(did you mean sums\?\)"):
        load_outcome(workspace, "sum")
