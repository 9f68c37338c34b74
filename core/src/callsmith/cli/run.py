from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from callsmith.chain import Chain, Verdict
from callsmith.cli.common import (
    console,
    errors,
    home_option,
    json_option,
    percent,
    print_json,
    table,
)
from callsmith.cli.eval import describe_comparison, show_evaluations
from callsmith.cli.pairs import show_statistics
from callsmith.cli.progress import rollout_progress, training_progress
from callsmith.cli.train import show_trained
from callsmith.configs import RolloutConfig, TrainConfig
from callsmith.evaluation import Evaluation
from callsmith.models import ModelFolder
from callsmith.pairs import PairStatistics
from callsmith.patience import Tally
from callsmith.pipeline import Outcome, check_recipe, run_recipe
from callsmith.recipe import PairsPart, Recipe, load_recipe, plan_recipe
from callsmith.recording import OnRecord
from callsmith.tasks import problems_of
from callsmith.training import TrainedModel
from callsmith.workspace import Workspace


@click.command("run")
@click.argument("recipe")
@click.option("--dry-run", is_flag=True, help="Say what would run, and what is missing.")
@home_option
@json_option
@click.pass_context
def run_command(
    ctx: click.Context, recipe: str, dry_run: bool, home: Path | None, as_json: bool
) -> None:
    """Run a recipe: teach, pairs, train, eval, in one go; cut off, the same command goes on.

    RECIPE is the name of one that a plugin brings, or a TOML file.

    \b
    Examples:
      callsmith run tiny
      callsmith run my-recipe.toml --dry-run
    """
    workspace = Workspace(home)
    loaded = load_recipe(recipe, workspace.registry)
    if dry_run:
        _show_plan(workspace, loaded, as_json)
        return
    began, terminal = time.perf_counter(), Terminal(workspace.home, quiet=as_json)
    outcome = run_recipe(workspace, loaded, terminal)
    if as_json:
        print_json(outcome.to_json())
    else:
        show_outcome(outcome)
        note = "" if terminal.made else "all was done before, nothing was made anew; "
        took = f"{time.perf_counter() - began:.0f} s in all"
        console.print(f"\n[dim]{note}{took}[/]", highlight=False)
    if "report" in workspace.registry.names("commands"):
        report = workspace.registry.resolve("commands", "report")
        assert isinstance(report, click.Command)
        ctx.invoke(report, recipe=loaded.name, home=home, quiet=as_json)


class Terminal:
    """Tells a person what happens. ``made`` counts what was not there before: chains, trainings."""

    def __init__(self, home: Path, quiet: bool) -> None:
        self._home, self._quiet = home, quiet
        self._trained_before = False
        self.made = 0

    @contextmanager
    def rollout(self, part: RolloutConfig) -> Iterator[OnRecord]:
        with rollout_progress(getattr(part, "label", part.name), self._quiet) as show:

            def tell(tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
                self.made += len(batch)
                show(tally, batch)

            yield tell

    @contextmanager
    def training(self, part: TrainConfig) -> Iterator[Callable[[Mapping[str, float]], None]]:
        self._trained_before = ModelFolder(self._home, part.name).is_finished
        self.made += not self._trained_before
        with training_progress(part.name, self._quiet) as show:
            yield show

    def taught(self, part: RolloutConfig, evaluation: Evaluation, new: int) -> None:
        if not self._quiet:
            console.print(
                f"[bold]{part.name}[/]: {evaluation.chains:,} chains of {part.model} "
                f"({new:,} new), {percent(evaluation.accuracy)} correct",
                highlight=False,
            )

    def paired(self, part: PairsPart, statistics: PairStatistics) -> None:
        if not self._quiet:
            show_statistics(part.name, statistics)

    def trained(self, part: TrainConfig, model: TrainedModel) -> None:
        if not self._quiet:
            show_trained(part.name, model, self._trained_before)


def show_outcome(outcome: Outcome) -> None:
    """The models side by side, and each against its baseline."""
    console.print()
    show_evaluations(outcome.evaluations, outcome.recipe.description or outcome.recipe.name)
    if outcome.comparisons:
        console.print()
    baselines = {part.label: part.baseline for part in outcome.recipe.eval}
    for label, comparison in outcome.comparisons.items():
        console.print(
            f"[bold]{label}[/] against {baselines[label]}: {describe_comparison(comparison)}",
            highlight=False,
        )
        if comparison.note:
            errors.print(f"  [yellow]{comparison.note}[/]", highlight=False)


def _show_plan(workspace: Workspace, recipe: Recipe, as_json: bool) -> None:
    def count(part: RolloutConfig) -> int:
        return len(problems_of(workspace.task(part), part.split, part.limit, part.seed))

    plan = plan_recipe(recipe, workspace.registry, count)
    if not plan.missing:
        check_recipe(workspace, recipe)
    if as_json:
        print_json(
            {
                "parts": [list(line) for line in plan.lines],
                "missing": plan.missing,
                "turns": plan.turns,
            }
        )
        return
    shown = table("part", "name", "what would run", title=f"{recipe.name}: {recipe.description}")
    for line in plan.lines:
        shown.add_row(*line)
    console.print(shown)
    for missing in plan.missing:
        console.print(f"[yellow]missing:[/] {missing}", highlight=False)
    if not plan.missing:
        console.print(f"\nAt most {plan.turns:,} turns of a model in all.", highlight=False)
        console.print("[green]Nothing is missing.[/]")
