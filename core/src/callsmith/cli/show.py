from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from callsmith.chain import dump
from callsmith.cli.chains import show_chain
from callsmith.cli.common import (
    cell,
    console,
    home_option,
    json_option,
    say_next,
    table,
)
from callsmith.functions import render_value
from callsmith.workspace import Workspace


@click.command("show")
@click.argument("run")
@click.argument("problem", required=False)
@click.option("--attempt", type=click.IntRange(0), default=0, show_default=True)
@click.option("--correct/--wrong", default=None, help="Only chains with this verdict.")
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True)
@home_option
@json_option
def show_command(
    run: str,
    problem: str | None,
    attempt: int,
    correct: bool | None,
    limit: int,
    home: Path | None,
    as_json: bool,
) -> None:
    """List the chains of RUN, or show one step by step by the first digits of its PROBLEM key.

    \b
    Examples:
      callsmith show my-run --wrong
      callsmith show my-run 3f9a --attempt 2
    """
    with Workspace(home).store() as store:
        found = store.run(run)
        if problem is not None:
            chain, verdict = store.chain(found, problem, attempt)
            if as_json:
                click.echo(dump(chain))
            else:
                console.print(show_chain(chain, verdict))
            return
        records = list(islice(store.records(found, correct=correct), limit))
    if as_json:
        for chain, _ in records:
            click.echo(dump(chain))
        return
    if not records:
        console.print("There are no such chains.")
        return
    numbers = ("attempt", "steps", "faults")
    shown = table("", "problem", "question", *numbers, "answer", "gold", right=numbers)
    for chain, verdict in records:
        answer = render_value(chain.answer) if chain.stop == "answer" else f"({chain.stop})"
        shown.add_row(
            "[green]✓[/]" if verdict.correct else "[red]✗[/]",
            f"[cyan]{chain.problem.key[:8]}[/]",
            cell(chain.problem.question),
            str(chain.attempt),
            str(len(chain.steps)),
            str(len(chain.faults)),
            cell(answer),
            cell(render_value(chain.problem.gold)),
        )
    console.print(shown)
    more = "; -n shows more" if len(records) == limit else ""
    console.print(f"[dim]{len(records)} shown{more}[/]")
    say_next(f"callsmith show {run} {records[0][0].problem.key[:8]}", "shows one step by step")
