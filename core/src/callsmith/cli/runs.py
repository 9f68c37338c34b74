from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from callsmith.cli.common import (
    cell,
    console,
    home_option,
    is_narrow,
    json_option,
    percent,
    print_json,
    say_next,
    table,
)
from callsmith.workspace import Workspace


@click.command("runs")
@home_option
@json_option
def runs_command(home: Path | None, as_json: bool) -> None:
    """List the runs of the workspace.

    \b
    Example:
      callsmith runs
    """
    with Workspace(home).store() as store:
        runs = store.runs()
    if as_json:
        print_json([asdict(run) | {"state": run.state} for run in runs])
        return
    if not runs:
        console.print("There are no runs yet.")
        say_next("callsmith teach --help", "tells how to make one")
        return
    texts, numbers = ["run", "model"], ["chains", "correct", "owed"]  # the name needs the room
    if not is_narrow():
        texts = ["run", "task", "model"]
        numbers = ["chains", "correct", "faults", "owed", "tokens", "begun"]
    shown = table(*texts, *numbers, right=numbers)
    for run in runs:
        facts: dict[str, str | Text] = {
            "run": cell(run.name, "cyan"),
            "task": cell(f"{run.task}/{run.split}"),
            "model": cell(run.model),
            "chains": f"{run.chains:,}",
            "correct": percent(run.correct / run.chains) if run.chains else "–",
            "faults": f"{run.faults:,}",
            "owed": f"[yellow]{run.owed:,}[/]" if run.owed else "0",
            "tokens": f"{run.tokens:,}",
            "begun": run.created[5:16].replace("T", " "),
        }
        shown.add_row(*(facts[column] for column in (*texts, *numbers)))
    console.print(shown)
    say_next(f"callsmith show {runs[0].name}", "shows its chains")
