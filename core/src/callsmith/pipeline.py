"""Running a recipe part by part, and what came of it.

Every part remembers what it did, so a recipe that was cut off goes on when it is run again.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from callsmith.chain import JSON, Chain, Verdict
from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.errors import DataError
from callsmith.evaluation import Comparison, Evaluation, compare
from callsmith.pairs import PairStatistics
from callsmith.patience import Tally
from callsmith.recipe import PairsPart, Recipe, check_training
from callsmith.runs import nearest
from callsmith.tasks import problems_of
from callsmith.training import TrainedModel
from callsmith.workspace import Workspace


@dataclass
class Outcome:
    """What a recipe has come to: by the names and labels in the recipe, in its order.

    ``comparisons`` holds each judged model against its baseline; ``seconds`` what each part took,
    all finished starts of the recipe together; ``finished`` is when the last one was, in ISO 8601,
    and ``versions`` those of Python, callsmith and the plugins in it.
    """

    recipe: Recipe
    pairs: dict[str, PairStatistics] = field(default_factory=dict)
    trained: dict[str, TrainedModel] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        return {
            "recipe": json.loads(json.dumps(asdict(self.recipe), default=str)),
            "pairs": {name: found.to_json() for name, found in self.pairs.items()},
            "trained": {
                name: {
                    "path": str(model.path),
                    "steps": model.steps,
                    "seconds": model.seconds,
                    "metrics": dict(model.metrics),
                    "warnings": list(model.warnings),
                }
                for name, model in self.trained.items()
            },
            "evaluations": {label: found.to_json() for label, found in self.evaluations.items()},
            "comparisons": {label: found.to_json() for label, found in self.comparisons.items()},
            "seconds": {name: round(seconds, 2) for name, seconds in self.seconds.items()},
            "finished": self.finished,
            "versions": self.versions,
        }


class Watcher(Protocol):
    """Is told what happens while a recipe runs."""

    def rollout(
        self, part: RolloutConfig
    ) -> AbstractContextManager[Callable[[Tally, Sequence[tuple[Chain, Verdict]]], None]]: ...

    def training(
        self, part: TrainConfig
    ) -> AbstractContextManager[Callable[[Mapping[str, float]], None]]: ...

    def taught(self, part: RolloutConfig, evaluation: Evaluation, new: int) -> None: ...

    def paired(self, part: PairsPart, statistics: PairStatistics) -> None: ...

    def trained(self, part: TrainConfig, model: TrainedModel) -> None: ...


def outcome_path(workspace: Workspace, name: str) -> Path:
    """Where the outcome of the recipe called ``name`` stands."""
    return workspace.home / "outcomes" / f"{name}.json"


def load_outcome(workspace: Workspace, name: str) -> Outcome:
    """What the recipe called ``name`` came to when it was last run to its end.

    Raises DataError if it was not, or if another version of callsmith wrote it.
    """
    from pydantic import TypeAdapter, ValidationError

    path = outcome_path(workspace, name)
    try:
        return TypeAdapter(Outcome).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        known = nearest(name, sorted(found.stem for found in path.parent.glob("*.json")))
        raise DataError(
            f"no recipe called {name!r} was run to its end in {workspace.home} ({known}): "
            "`callsmith run RECIPE` runs one"
        ) from error
    except ValidationError as error:
        raise DataError(
            f"{path} was not written by this version of callsmith: start `callsmith run {name}`"
        ) from error


def run_recipe(workspace: Workspace, recipe: Recipe, watcher: Watcher) -> Outcome:
    """Run all parts and write the outcome. Raises what the parts raise; done work stays."""
    check_recipe(workspace, recipe)
    outcome = Outcome(recipe)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        outcome.seconds[name] = time.perf_counter() - began

    for part in recipe.teach:
        with timed(f"teach {part.name}"), watcher.rollout(part) as tell:
            report = workspace.teach(part, tell)
        watcher.taught(part, workspace.measure(part), report.tally.done)
    forbidden = problem_keys(workspace, recipe.eval)
    for pairs in recipe.pairs:
        with timed(f"pairs {pairs.name}"):
            statistics = workspace.pairs(pairs.name, pairs.runs, pairs.config, forbidden)
        outcome.pairs[pairs.name] = statistics
        watcher.paired(pairs, statistics)
    for training in recipe.train:
        with timed(f"train {training.name}"), watcher.training(training) as progress:
            model = workspace.train(training, progress)
        outcome.trained[training.name] = model
        watcher.trained(training, model)
    for judged in recipe.eval:
        with timed(f"eval {judged.label}"), watcher.rollout(judged) as tell:
            outcome.evaluations[judged.label] = workspace.evaluate(judged, tell)
    for judged in recipe.eval:
        if judged.baseline:
            outcome.comparisons[judged.label] = compare(
                outcome.evaluations[judged.baseline], outcome.evaluations[judged.label]
            )
    outcome.finished = datetime.now(UTC).isoformat(timespec="seconds")
    outcome.versions = {"python": platform.python_version(), **workspace.registry.versions}
    with suppress(DataError):  # there is none yet, or another version's
        earlier = load_outcome(workspace, recipe.name)
        for name in outcome.seconds:
            outcome.seconds[name] += earlier.seconds.get(name, 0.0)
        if replace(earlier, seconds=outcome.seconds, finished=outcome.finished) == outcome:
            outcome.finished = earlier.finished  # nothing was left to do
    _write(outcome_path(workspace, recipe.name), outcome.to_json())
    return outcome


def check_recipe(workspace: Workspace, recipe: Recipe) -> None:
    """What would otherwise be found out hours later.

    Raises DataError for a trainer's setting that can't be, or for problems that are both to be
    learnt from and judged on; PluginError for a trainer or backend that is not there.
    """
    for training in recipe.train:
        check_training(training, workspace.registry)
    for part in (*recipe.teach, *recipe.eval):
        if ":" in part.model:
            workspace.registry.resolve("backends", part.model.partition(":")[0])
    judged = problem_keys(workspace, recipe.eval)
    paired = {run for pairs in recipe.pairs for run in pairs.runs}
    for taught in recipe.teach:
        if taught.name in paired and (shared := judged & problem_keys(workspace, [taught])):
            raise DataError(
                f"recipe {recipe.name}: {len(shared)} problems of teach {taught.name} are to be "
                "judged on by an eval: take another split for one of them"
            )


def problem_keys(workspace: Workspace, parts: Sequence[RolloutConfig]) -> set[str]:
    """The keys of all problems of these parts."""
    return {
        problem.key
        for part in parts
        for problem in problems_of(workspace.task(part), part.split, part.limit, part.seed)
    }


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
    temporary.replace(path)
