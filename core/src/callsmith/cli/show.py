from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from callsmith.chain import dump
from callsmith.cli.chains import show_chain
from callsmith.cli.common import console, home_option, json_option, percent, say_next, table
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
    numbers = ("attempt", "steps", "faults")
    shown = table("problem", "question", *numbers, "answer", "gold", "verdict", right=numbers)
    for chain, verdict in records:
        question = " ".join(chain.problem.question.split())
        shown.add_row(
            f"[cyan]{chain.problem.key[:8]}[/]",
            question[:57] + "…" if len(question) > 58 else question,
            str(chain.attempt),
            str(len(chain.steps)),
            str(len(chain.faults)),
            str(chain.answer) if chain.stop == "answer" else f"({chain.stop})",
            str(chain.problem.gold),
            "[green]correct[/]" if verdict.correct else "[red]wrong[/]",
        )
    console.print(shown)
    if records:
        right = sum(verdict.correct for _, verdict in records)
        console.print(f"[dim]{len(records)} shown, {percent(right / len(records))} correct[/]")
        say_next(f"callsmith show {run} {records[0][0].problem.key[:8]}", "shows one step by step")
