from __future__ import annotations

from typing import Any

import click

from callsmith.chain import Problem, Step, dump
from callsmith.cli.chains import show_end, show_step
from callsmith.cli.common import console, home_option, json_option, read_settings
from callsmith.configs import RolloutConfig
from callsmith.rollout import judge
from callsmith.tasks import problems_of
from callsmith.workspace import Workspace


@click.command("ask")
@click.argument("question", required=False)
@click.option("--model", "-m", required=True, help="scheme:name, or a model trained here.")
@click.option("--task", "-t", default="", help="Whose instructions and functions to take.")
@click.option("--functions", "-f", multiple=True, metavar="NAME", help="math.add, math.*; …")
@click.option("--no-functions", is_flag=True, help="Offer none but answer.")
@click.option("--problem", type=int, metavar="N", help="The task's N-th problem, from 0.")
@click.option("--split", default="train", show_default=True, help="Where --problem is taken from.")
@click.option(
    "--dialect", type=click.Choice(["auto", "text", "native"]), default="auto", show_default=True
)
@click.option("--shots", type=click.IntRange(0))
@click.option("--forget-faults", is_flag=True)
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=16, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--task-option", "-O", "task_options", multiple=True, metavar="KEY=VALUE")
@click.option("--model-option", "-o", "model_options", multiple=True, metavar="KEY=VALUE")
@home_option
@json_option
def ask_command(
    question: str | None, problem: int | None, home: Any, as_json: bool, **settings: Any
) -> None:
    """Let a model solve one problem, and watch it step by step.

    \b
    Examples:
      callsmith ask "A box holds 6 eggs. How many are in 4 boxes?" -t wordproblems -m tiny:teacher
      callsmith ask -t gsm8k --problem 0 -m reference
      callsmith ask "What is 2/3 of 48?" -m ollama:llama3.1 -f 'math.*'
    """
    if (question is None) == (problem is None):
        raise click.UsageError("give a question, or --problem N of a task")
    if problem is not None and not settings["task"]:
        raise click.UsageError("--problem N is of a task: say which with --task")
    config = RolloutConfig(**read_settings(settings))
    workspace = Workspace(home)
    task = workspace.task(config)
    if question is not None:
        asked = Problem(question)
    else:
        problems = problems_of(task, config.split)
        if not 0 <= problem < len(problems):  # type: ignore[operator]
            raise click.UsageError(f"{config.split} has problems 0 to {len(problems) - 1:,}")
        asked = problems[problem]  # type: ignore[index]
    shown = 0

    def on_step(step: Step) -> None:
        nonlocal shown
        shown += 1
        if not as_json:
            console.print(show_step(step, shown))

    if not as_json:
        console.print(f"{asked.text}\n", markup=False)
    chain = workspace.solve(asked, config, on_step)
    if as_json:
        click.echo(dump(chain))
        return
    verdict = judge(task, asked, chain) if asked.gold is not None else None
    console.print(show_end(chain, verdict))
