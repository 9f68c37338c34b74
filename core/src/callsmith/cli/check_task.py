from __future__ import annotations

import asyncio
from dataclasses import asdict

import click
from rich.markup import escape

from callsmith.cli.common import console, json_option, print_json, read_named
from callsmith.cli.options import answer_option
from callsmith.configs import PromptConfig
from callsmith.control import answer_function, reasoning
from callsmith.isolation import Workers
from callsmith.tasks import CheckReport, check_task
from callsmith.workspace import Workspace


@click.command("check-task")
@click.argument("name")
@click.option("--split", help="Whose problems are tried. [default: the task's first]")
@click.option("--limit", "-n", type=click.IntRange(1), default=200, show_default=True)
@answer_option
@click.option("--task-option", "-O", "task_options", multiple=True, metavar="KEY=VALUE")
@json_option
def check_task_command(
    name: str,
    split: str | None,
    limit: int,
    answer: str | None,
    task_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Check a task's verifier and references, with no model.

    Gold answers must be judged correct and corrupted ones wrong; splits must share no problem;
    reference chains are executed for real. Exits with code 2 if anything is found.

    \b
    Examples:
      callsmith check-task wordproblems
      callsmith check-task gsm8k -O data=DATA/gsm8k -n 1000
      callsmith check-task my-problems.jsonl --answer label
    """
    workspace = Workspace()
    task = workspace.task(PromptConfig(**read_named(name, answer, task_options)))
    functions = workspace.registry.functions(task.functions)
    functions |= {"reasoning": reasoning, "answer": answer_function(task.answer)}

    async def check() -> CheckReport:
        async with Workers() as workers:
            return await check_task(
                task, functions, workers, split=split or task.splits[0], limit=limit
            )

    report = asyncio.run(check())
    if as_json:
        print_json(asdict(report))
    else:
        console.print(
            f"[bold]{escape(report.task)}[/] {escape(report.split)}: {report.problems:,} gold "
            f"answers and {report.corrupted:,} corrupted ones judged"
        )
        if report.references:
            console.print(
                f"{report.references_correct:,} of {report.references:,} reference chains give "
                "the gold answer"
            )
        for finding in report.findings:
            console.print(f"[red]✗[/] {escape(finding)}")
        if report.ok:
            console.print("[green]✓[/] nothing wrong was found")
    if not report.ok:
        raise click.exceptions.Exit(2)
