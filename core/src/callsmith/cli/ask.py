from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from callsmith.chain import Problem, dump
from callsmith.cli.chains import show_end
from callsmith.cli.common import (
    console,
    home_option,
    json_option,
    read_settings,
    tokens,
    visible,
)
from callsmith.cli.options import limit_options, model_options, prompt_options, sampling_options
from callsmith.cli.progress import Turns, pull_progress, say_ready
from callsmith.configs import RolloutConfig
from callsmith.evaluation import Price
from callsmith.rollout import judge
from callsmith.tasks import problems_of
from callsmith.workspace import Workspace


@click.command("ask")
@click.argument("question", required=False)
@model_options
@prompt_options
@click.option("--problem", type=int, metavar="N", help="The task's N-th problem, from 0.")
@click.option("--split", default="train", show_default=True, help="Where --problem is taken from.")
@sampling_options
@limit_options
@home_option
@json_option
def ask_command(
    question: str | None,
    problem: int | None,
    home: Path | None,
    as_json: bool,
    pull: bool,
    price: Price | None,
    **settings: Any,
) -> None:
    """Let a model solve one problem, and watch it step by step.

    \b
    Examples:
      callsmith ask -t wordproblems --split test --problem 3 -m tiny:teacher
      callsmith ask "A box holds 6 eggs. How many eggs are in 4 boxes?" -m tiny:teacher -f math
      callsmith ask "What is 2/3 of 48?" -m ollama:llama3.1 -f math
      callsmith ask "How big is a room of 3 by 4 m?" -m ollama:llama3.1 -f my_functions.py
    """
    config = RolloutConfig(**read_settings(settings))
    workspace = Workspace(home)
    task = workspace.task(config)
    if (question is None) == (problem is None):
        raise click.UsageError("give a question, or --problem N of a task")
    if problem is not None and not config.task:
        raise click.UsageError("--problem N is of a task: say which with --task or --problems")
    if question is not None:
        asked = Problem(question)
    else:
        problems = problems_of(task, config.split)
        if not 0 <= problem < len(problems):  # type: ignore[operator]
            raise click.UsageError(f"{config.split} has problems 0 to {len(problems) - 1:,}")
        asked = problems[problem]  # type: ignore[index]
    if not as_json:
        console.print(f"{visible(asked.text)}\n", markup=False)
    with pull_progress(pull, as_json) as on_pull, Turns(quiet=as_json) as turns:
        chain = workspace.solve(
            asked,
            config,
            on_step=turns.add,
            on_text=turns.write if turns.is_live else None,
            on_ready=say_ready,
            on_pull=on_pull,
        )
    if as_json:
        click.echo(dump(chain))
        return
    verdict = judge(task, asked, chain) if asked.gold is not None else None
    console.print(show_end(chain, verdict))
    if price:
        console.print(f"[dim]{tokens(chain.usage, price)}[/]")
