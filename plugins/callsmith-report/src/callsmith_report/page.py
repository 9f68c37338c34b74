"""The page: gathers what a recipe left in the workspace and fills the template with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from callsmith.chain import JSON
from callsmith.cli.common import counts, percent
from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.pipeline import Outcome, load_outcome
from callsmith.runs import Run
from callsmith.workspace import Workspace
from callsmith_report import wording
from callsmith_report.curves import HEIGHT, WIDTH, Curve, training_curves
from callsmith_report.examples import example_pairs, mended
from callsmith_report.results import arrange, headline


def render(workspace: Workspace, name: str) -> str:
    """The report of the recipe called ``name`` as one HTML page that needs nothing else.

    Raises DataError if the recipe was not run to its end in this workspace, and StoreError if
    what it recorded is not there any more.
    """
    outcome = load_outcome(workspace, name)
    recipe = outcome.recipe
    groups = arrange(outcome)
    best = headline(groups)
    with workspace.store() as store:
        runs = {part.name: store.run(part.name) for part in (*recipe.teach, *recipe.eval)}
        return _environment().get_template("page.html").render(
            name=name,
            outcome=outcome,
            recipe=recipe,
            groups=groups,
            best=best,
            trainings=[_training(workspace, outcome, part) for part in recipe.train],
            trainers=list(dict.fromkeys(part.trainer for part in recipe.train)),
            pairs=example_pairs(store, list(outcome.pairs)),
            mended=mended(store, best) if best else [],
            parts=_parts(outcome),
            prompts=_prompts([*recipe.teach, *recipe.eval], runs),
            whole=asdict(recipe),
        )  # fmt: skip


@dataclass(frozen=True)
class Training:
    """A training with its curves."""

    part: TrainConfig
    steps: int
    seconds: float
    warnings: tuple[str, ...]
    curves: Sequence[Curve]

    @property
    def source(self) -> str:
        """What was learnt from, and how much of it."""
        part = self.part
        what = f"pairs {part.pairs}" if part.pairs else f"correct chains of {', '.join(part.runs)}"
        if part.equal_steps_to:
            return f"{what}, as many steps as {part.equal_steps_to}"
        if part.equal_compute_to:
            return f"{what}, as much compute as {part.equal_compute_to}"
        return what


@dataclass(frozen=True)
class PromptShown:
    """A prompt, its hashes, and the parts whose models were shown it."""

    hash: str
    functions: str
    dialect: str
    shown: Mapping[str, JSON]
    parts: list[str]


def _training(workspace: Workspace, outcome: Outcome, part: TrainConfig) -> Training:
    model = outcome.trained[part.name]
    # By name, not by the path in the outcome: a workspace may have been moved.
    metrics = workspace.home / "models" / part.name / "metrics.jsonl"
    return Training(part, model.steps, model.seconds, model.warnings, training_curves(metrics))


def _parts(outcome: Outcome) -> list[tuple[str, str, str, float]]:
    """The recipe part by part: what kind, its name, what it did, and its seconds."""
    recipe, rows = outcome.recipe, []

    def add(kind: str, name: str, what: Sequence[str]) -> None:
        seconds = outcome.seconds.get(f"{kind} {name}", 0.0)
        rows.append((kind, name, "; ".join(filter(None, what)), seconds))

    for taught in recipe.teach:
        add("teach", taught.name, _rollout(taught))
    for paired in recipe.pairs:
        add("pairs", paired.name, [f"from {', '.join(paired.runs)}", _set(asdict(paired.config))])
    for trained in recipe.train:
        made = Training(trained, 0, 0, (), ())
        add(
            "train",
            trained.name,
            [f"{trained.trainer} of {trained.student} on {made.source}", _set(trained.config)],
        )
    for judged in recipe.eval:
        add("eval", judged.label, _rollout(judged))
    return rows


def _rollout(part: RolloutConfig) -> list[str]:
    size = f"{part.limit:,} problems" if part.limit else "all problems"
    size += f" × {part.attempts}" if part.attempts > 1 else ""
    sampled = f"temperature {part.temperature:g}" if part.temperature else "greedy"
    sampled += f", top p {part.top_p:g}" if part.top_p < 1 else ""
    return [
        f"{part.model} on {part.task} / {part.split}, {size}",
        f"{sampled}, seed {part.seed}, at most {part.steps} turns of {part.max_tokens} tokens",
        "no functions" if part.functions == () else "",
        "faults forgotten" if part.forget_faults else "",
    ]


def _set(given: Mapping[str, JSON]) -> str:
    return wording.settings({key: value for key, value in given.items() if value not in ((), "")})


def _prompts(parts: Sequence[RolloutConfig], runs: Mapping[str, Run]) -> list[PromptShown]:
    """The prompts of the runs, each once."""
    found: dict[str, PromptShown] = {}
    for part in parts:
        run = runs[part.name]
        said: Mapping[str, Any] = run.identity
        shown = PromptShown(said["prompt"], said["functions"], said["dialect"], run.prompt, [])
        name = getattr(part, "label", part.name)
        found.setdefault(f"{shown.hash} {shown.functions}", shown).parts.append(name)
    return list(found.values())


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("callsmith_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        name: getattr(wording, name)
        for name in (
            "points", "number", "p_value", "duration", "day", "plain", "clip", "call", "value",
            "settings", "stop", "pretty",
        )
    } | {"percent": percent, "counts": counts}  # fmt: skip
    made.globals |= {"zip": zip, "chart_width": WIDTH, "chart_height": HEIGHT}
    return made
