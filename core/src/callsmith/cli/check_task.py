from __future__ import annotations

import click

from callsmith.cli.checks import context_option, finish
from callsmith.cli.common import json_option, read_named, say_next
from callsmith.cli.options import answer_option
from callsmith.cli.progress import check_progress
from callsmith.configs import PromptConfig
from callsmith.workspace import Workspace


@click.command("check-task")
@click.argument("name")
@click.option("--split", default="", help="Whose problems are tried. [default: the task's first]")
@click.option("--limit", "-n", type=click.IntRange(1), default=200, show_default=True)
@answer_option
@click.option("--task-option", "-O", "task_options", multiple=True, metavar="KEY=VALUE")
@context_option
@json_option
def check_task_command(
    name: str,
    split: str,
    limit: int,
    answer: str | None,
    task_options: tuple[str, ...],
    context: int,
    as_json: bool,
) -> None:
    """Check a task's verifier and references, with no model.

    Gold answers must be judged correct and corrupted ones wrong; splits must share no problem;
    reference chains are executed for real. Exits with code 2 if a check fails.

    \b
    Examples:
      callsmith check-task wordproblems
      callsmith check-task gsm8k -O data=DATA/gsm8k -n 1000
      callsmith check-task my-problems.jsonl --answer label
    """
    from callsmith.testing.tasks import check_task

    workspace = Workspace()
    task = workspace.task(PromptConfig(**read_named(name, answer, task_options)))
    with check_progress(name, quiet=as_json) as progress:
        report = check_task(
            task,
            split=split,
            limit=limit,
            context=context,
            registry=workspace.registry,
            progress=progress,
        )
    finish(report, as_json)
    if not as_json:
        say_next(f"callsmith tasks {name}", "shows some of its problems")
