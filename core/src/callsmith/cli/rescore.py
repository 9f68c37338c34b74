from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from callsmith.cli.common import console, home_option, json_option, print_json, read_options
from callsmith.configs import PromptConfig
from callsmith.rollout import judge
from callsmith.workspace import Workspace


@click.command("rescore")
@click.argument("run")
@click.option("--task-option", "-O", "task_options", multiple=True, metavar="KEY=VALUE")
@home_option
@json_option
def rescore_command(
    run: str, task_options: tuple[str, ...], home: Path | None, as_json: bool
) -> None:
    """Judge RUN's chains again with the task's verifier and gold answers of today.

    No model is asked, and no chain changes: verdicts stand beside them.

    \b
    Example:
      callsmith rescore my-run
    """
    workspace = Workspace(home)
    with workspace.store() as store:
        found = store.run(run)
        recorded: dict[str, Any] = dict(found.identity["task_options"])
        options = recorded | read_options(task_options)
        task = workspace.task(PromptConfig(str(found.identity["task"]), options))
        problems = list(task.problems(str(found.identity["split"])))
        changed = store.rescore(found, lambda p, chain: judge(task, p, chain), problems)
    if as_json:
        print_json(asdict(changed))
        return
    console.print(
        f"[bold]{escape(run)}[/]: {changed.chains:,} chains judged anew: "
        f"{changed.to_correct:,} turned correct, {changed.to_wrong:,} turned wrong, "
        f"{changed.mended:,} gold answers mended"
    )
