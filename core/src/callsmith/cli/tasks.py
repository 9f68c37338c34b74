from __future__ import annotations

from itertools import islice
from typing import Any

import click
from rich.markup import escape

from callsmith.chain import Problem
from callsmith.cli.common import console, json_option, print_json, read_named, say_next, table
from callsmith.cli.options import answer_option
from callsmith.configs import PromptConfig
from callsmith.errors import CallsmithError
from callsmith.functions import format_call, render_value
from callsmith.plugins import Registry, load_registry
from callsmith.tasks import FunctionRef, problems_of
from callsmith.workspace import Workspace


@click.command("tasks")
@click.argument("name", required=False)
@click.option("--split", help="Whose problems are shown. [default: the task's first]")
@click.option("--limit", "-n", type=click.IntRange(1), default=3, show_default=True)
@answer_option
@click.option("--task-option", "-O", "task_options", multiple=True, metavar="KEY=VALUE")
@json_option
def tasks_command(
    name: str | None,
    split: str | None,
    limit: int,
    answer: str | None,
    task_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """List tasks, or show one, or a JSONL file, with sample problems.

    \b
    Examples:
      callsmith tasks
      callsmith tasks wordproblems --split longer -n 2
      callsmith tasks my-problems.jsonl --answer label
    """
    if name is None:
        registry = load_registry()
        rows = [_describe(registry, name) for name in registry.names("tasks")]
        if as_json:
            print_json(rows)
            return
        shown = table("task", "splits", "what it is", fold="what it is")
        for row in rows:
            splits = ", ".join(row["splits"])
            shown.add_row(f"[cyan]{row['name']}[/]", splits, escape(row["description"]))
        console.print(shown)
        if ready := [row["name"] for row in rows if row["splits"]]:
            say_next(f"callsmith tasks {ready[-1]}", "shows one with its problems")
        return
    task = Workspace().task(PromptConfig(**read_named(name, answer, task_options)))
    chosen = split or task.splits[0]
    problems = (
        problems_of(task, chosen, limit) if split else list(islice(task.problems(chosen), limit))
    )
    if as_json:
        print_json(
            [
                {"key": p.key, "question": p.question, "context": p.context, "gold": p.gold}
                for p in problems
            ]
        )
        return
    console.print(f"[bold cyan]{escape(task.name)}[/]: {escape(task.description)}")
    console.print(f"splits: {escape(', '.join(task.splits))}")
    console.print(f"functions: {', '.join(map(_named, task.functions)) or 'none'}\n")
    for problem in problems:
        console.print(problem.text, markup=False)
        console.print(f"[dim]gold[/] [green]{escape(render_value(problem.gold))}[/]")
        for call in _reference(task, problem):
            console.print(f"  [dim]{escape(call)}[/]")
        console.print()
    say_next(f"callsmith check-task {name}", "checks the verifier on gold and corrupted answers")


def _describe(registry: Registry, name: str) -> dict[str, Any]:
    """A task in a row. One that needs an option or a file is listed with what it needs."""
    try:
        task = registry.task(name)
    except CallsmithError as error:
        return {"name": name, "splits": [], "description": str(error)}
    return {"name": name, "splits": list(task.splits), "description": task.description}


def _named(function: FunctionRef) -> str:
    return function if isinstance(function, str) else function.qualified_name


def _reference(task: object, problem: Problem) -> list[str]:
    reference = getattr(task, "reference", None)
    calls = reference(problem) if reference else ()
    return [format_call(call).replace("Previous(back=", "result(-") for call in calls]
