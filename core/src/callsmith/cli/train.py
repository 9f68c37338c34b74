from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from callsmith.chain import JSON
from callsmith.cli.common import (
    console,
    errors,
    home_option,
    json_option,
    print_json,
    read_options,
    read_task,
    say_next,
)
from callsmith.cli.options import dialect_option, functions_option, task_options
from callsmith.cli.progress import training_progress
from callsmith.configs import TrainConfig
from callsmith.models import ModelFolder
from callsmith.store import Store
from callsmith.training import TrainedModel
from callsmith.workspace import Workspace


@click.command("train")
@click.argument("name")
@click.option("--student", required=True, help="hf:PATH, tiny:student, or a model trained here.")
@click.option("--trainer", default="dpo", show_default=True, help="dpo, sft, or a plugin's.")
@click.option("--pairs", default="", help="The set of pairs to learn from.")
@click.option(
    "--runs", multiple=True, metavar="RUN", help="Runs whose correct chains to learn from."
)
@task_options
@functions_option
@dialect_option
@click.option("--shots", type=click.IntRange(0), help="Worked examples shown. [default: all]")
@click.option("--equal-steps-to", default="", metavar="MODEL", help="As many steps as that took.")
@click.option("--equal-compute-to", default="", metavar="MODEL")
@click.option(
    "--set",
    "-s",
    "config",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the trainer, such as beta=0.1; may be repeated.",
)
@home_option
@json_option
def train_command(name: str, home: Path | None, as_json: bool, **settings: Any) -> None:
    """Train a student on pairs, or on correct chains.

    The task is that of the pairs or runs, unless another is named. The model stands under its
    NAME in the workspace and can be used as -m NAME. A training that was cut off goes on from its
    newest checkpoint when it is started again.

    \b
    Examples:
      callsmith train dpo --student tiny:student --pairs first -s beta=1 -s learning_rate=3e-4
      callsmith train sft --trainer sft --student tiny:student --pairs first --equal-steps-to dpo
    """
    if bool(settings["pairs"]) == bool(settings["runs"]):
        raise click.UsageError("give --pairs NAME or --runs RUN to learn from")
    workspace = Workspace(home)
    settings["config"] = read_options(settings["config"])
    settings["functions"] = settings["functions"] or None
    named = {key: settings.pop(key) for key in ("task", "problems", "answer", "task_options")}
    settings |= read_task(**named)
    if not settings["task"]:
        with workspace.store() as store:
            settings["task"], options = _task_of(store, settings["pairs"], settings["runs"])
        settings["task_options"] = {**options, **settings["task_options"]}
    before = ModelFolder(workspace.home, name).is_finished
    with training_progress(name, quiet=as_json) as progress:
        trained = workspace.train(TrainConfig(name=name, **settings), progress)
    if as_json:
        print_json(
            {
                "name": name,
                "path": str(trained.path),
                "steps": trained.steps,
                "seconds": trained.seconds,
                "metrics": dict(trained.metrics),
                "warnings": list(trained.warnings),
            }
        )
        return
    show_trained(name, trained, before)
    task = settings["task"]
    chosen = f"--problems {task}" if task.endswith(".jsonl") else f"-t {task}"
    say_next(f"callsmith eval {chosen} -m {name}", "measures it")


SHOWN = ("loss", "token_accuracy", "reward_accuracy", "margin", "logp_chosen", "logp_chosen_change")
"""Metrics that a person looks at first; the others are in the model's ``metrics.jsonl``."""


def show_trained(name: str, trained: TrainedModel, before: bool) -> None:
    """What came out of a training, in two lines; whether it was finished ``before``."""
    metrics = ", ".join(
        f"{key.replace('_', ' ')} {value:.3g}"
        for key, value in trained.metrics.items()
        if key in SHOWN
    )
    console.print(
        f"[bold]{escape(name)}[/]: {'trained before, ' if before else ''}{trained.steps:,} steps "
        f"in {trained.seconds:.1f} s → {escape(str(trained.path))}"
    )
    console.print(f"  [dim]{metrics}[/]")
    for warning in trained.warnings:
        errors.print(f"  [yellow]{escape(warning)}[/]")


def _task_of(store: Store, pairs: str, runs: Sequence[str]) -> tuple[str, dict[str, JSON]]:
    """The task that the pairs or chains are of, and its options."""
    if pairs:
        runs = store.pair_set(pairs).facts["runs"]
    identity = store.run(runs[0]).identity
    return str(identity["task"]), dict(identity["task_options"])
