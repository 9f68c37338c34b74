"""What the evaluations of a recipe say, arranged for reading. Nothing is claimed but numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from callsmith.configs import TrainConfig
from callsmith.evaluation import Comparison, Evaluation, compare
from callsmith.pipeline import Outcome
from callsmith.recipe import EvalPart


@dataclass(frozen=True)
class Judged:
    """A model that was judged. ``training`` made it, if this recipe did."""

    part: EvalPart
    found: Evaluation
    comparison: Comparison | None
    training: TrainConfig | None
    steps: int = 0

    @property
    def label(self) -> str:
        return self.part.label

    @property
    def detail(self) -> str:
        """What the model is, in a few words."""
        made = self.training
        what = f"{made.trainer} of {made.student}, {self.steps:,} steps" if made else ""
        parts = [what or self.part.model]
        parts += ["no functions"] if self.part.functions == () else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Control:
    """A training against one that its recipe set beside it: a control at equal steps or compute.

    ``comparison`` is positive where ``model`` is better than ``control``.
    """

    model: Judged
    control: Judged
    equal: str
    comparison: Comparison


@dataclass(frozen=True)
class Group:
    """Models judged alike: on one split of one task, at one temperature; in the recipe's order."""

    task: str
    split: str
    temperature: float
    models: tuple[Judged, ...]

    @property
    def title(self) -> str:
        how = f"sampled at temperature {self.temperature:g}" if self.temperature else "greedy"
        return f"{self.task} / {self.split}, {how}"

    @cached_property
    def baseline(self) -> Judged | None:
        """What most models are held against."""
        named = [judged.part.baseline for judged in self.models if judged.part.baseline]
        most = max(named, key=named.count, default="")
        return next((judged for judged in self.models if judged.label == most), None)

    @cached_property
    def controls(self) -> list[Control]:
        found = []
        judged = {one.training.name: one for one in reversed(self.models) if one.training}
        for control in self.models:
            if (made := control.training) is None:
                continue
            for equal, name in (("steps", made.equal_steps_to), ("compute", made.equal_compute_to)):
                if model := judged.get(name):
                    difference = compare(control.found, model.found)
                    found.append(Control(model, control, equal, difference))
        return found

    @property
    def faults(self) -> list[str]:
        """Kinds of faults that any model made, the most frequent first."""
        totals: dict[str, int] = {}
        for judged in self.models:
            for kind, count in judged.found.faults.items():
                totals[kind] = totals.get(kind, 0) + count
        return sorted(totals, key=lambda kind: (-totals[kind], kind))

    @property
    def attempts(self) -> list[int]:
        """The k for which any model has a pass@k; none where each problem had one attempt."""
        known = sorted({k for judged in self.models for k in judged.found.pass_at})
        return known if known != [1] else []


@dataclass(frozen=True)
class Headline:
    """The model that gained most over its baseline, of ``of`` that could have been named.

    Only models trained here are looked at, where there are any. ``clear`` says that the interval
    of the difference leaves out zero, and that McNemar's test finds it at 0.05 even though it is
    the largest of several (Bonferroni).
    """

    group: Group
    before: Judged
    after: Judged
    comparison: Comparison
    of: int

    @property
    def clear(self) -> bool:
        low, _ = self.comparison.interval
        return low > 0 and self.of * self.comparison.mcnemar_p < 0.05

    @property
    def newly_solved(self) -> list[str]:
        """Keys of the problems whose first attempt was wrong before and is right after."""
        before, after = self.before.found.outcomes, self.after.found.outcomes
        shared = sorted(before.keys() & after.keys())
        return [key for key in shared if after[key][0] and not before[key][0]]


def arrange(outcome: Outcome) -> list[Group]:
    """The judged models, those that were judged alike together."""
    trainings = {training.name: training for training in outcome.recipe.train}
    groups: dict[tuple[str, str, float], list[Judged]] = {}
    for part in outcome.recipe.eval:
        trained = outcome.trained.get(part.model)
        judged = Judged(
            part,
            outcome.evaluations[part.label],
            outcome.comparisons.get(part.label),
            trainings.get(part.model),
            trained.steps if trained else 0,
        )
        groups.setdefault((part.task, part.split, part.temperature), []).append(judged)
    return [Group(*alike, tuple(models)) for alike, models in groups.items()]


def headline(groups: Sequence[Group]) -> Headline | None:
    """The best result of the first group that has one: recipes name what matters most first."""
    for group in groups:
        by_label = {judged.label: judged for judged in group.models}
        compared = [
            (by_label[after.part.baseline], after, after.comparison)
            for after in group.models
            if after.comparison and after.part.baseline in by_label
        ]
        candidates = [found for found in compared if found[1].training] or compared
        if candidates:
            best = max(candidates, key=lambda found: found[2].difference)
            return Headline(group, *best, of=len(candidates))
    return None
