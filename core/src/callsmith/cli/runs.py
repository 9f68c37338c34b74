from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from callsmith.cli.common import (
    console,
    home_option,
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
    numbers = ("chains", "correct", "faults", "tokens", "owed")
    shown = table("run", "task", "model", *numbers, "begun", right=numbers)
    for run in runs:
        share = percent(run.correct / run.chains) if run.chains else "–"
        owed = f"[yellow]{run.owed:,}[/]" if run.owed else "0"
        shown.add_row(
            f"[cyan]{run.name}[/]",
            f"{run.task}/{run.split}",
            run.model,
            f"{run.chains:,}",
            share,
            f"{run.faults:,}",
            f"{run.tokens:,}",
            owed,
            run.created[:16].replace("T", " "),
        )
    console.print(shown)
    if runs:
        say_next(f"callsmith show {runs[0].name}", "shows its chains")
    else:
        say_next("callsmith teach --help", "tells how to make one")
