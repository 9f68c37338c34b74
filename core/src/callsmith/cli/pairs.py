from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from callsmith.cli.common import (
    console,
    counts,
    home_option,
    json_option,
    print_json,
    say_next,
)
from callsmith.pairs import PairConfig, PairStatistics
from callsmith.workspace import Workspace


@click.command("pairs")
@click.argument("name")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--method",
    type=click.Choice(["chain", "fault", "both"]),
    default="chain",
    show_default=True,
    help="A correct over an incorrect chain, or a valid over a faulted turn.",
)
@click.option("--per-problem", type=click.IntRange(1), default=4, show_default=True)
@click.option(
    "--chosen",
    type=click.Choice(["shortest", "random"]),
    default="shortest",
    show_default=True,
    help="Which correct chain is taken.",
)
@click.option(
    "--rejected",
    multiple=True,
    type=click.Choice(["wrong", "fault", "limit"]),
    help="Which incorrect chains are taken; may be repeated. [default: all]",
)
@click.option(
    "--chosen-model", "chosen_models", multiple=True, help="Only this model's. [default: any]"
)
@click.option("--rejected-model", "rejected_models", multiple=True)
@click.option("--balance-lengths/--no-balance-lengths", default=True, show_default=True)
@click.option("--grounded-only", is_flag=True, help="Take no correct chain that guessed.")
@click.option("--seed", type=int, default=0, show_default=True)
@home_option
@json_option
def pairs_command(
    name: str, runs: tuple[str, ...], home: Path | None, as_json: bool, **settings: Any
) -> None:
    """Build preference pairs of recorded chains and save them under NAME.

    \b
    Examples:
      callsmith pairs first wordproblems-train-tiny-student
      callsmith pairs mixed teacher-run student-run --per-problem 2 --chosen random
    """
    settings["rejected"] = settings["rejected"] or PairConfig().rejected
    statistics = Workspace(home).pairs(name, runs, PairConfig(**settings))
    if as_json:
        print_json({"name": name, **statistics.to_json()})
        return
    show_statistics(name, statistics)
    say_next(f"callsmith train NAME --student MODEL --pairs {name}", "trains a student on them")


def show_statistics(name: str, statistics: PairStatistics) -> None:
    """What the pairs are made of, before anything is trained on them."""
    console.print(
        f"[bold]{escape(name)}[/]: {sum(statistics.pairs.values()):,} pairs "
        f"({counts(statistics.pairs)}) of {statistics.problems:,} problems with "
        f"{statistics.correct:,} correct and {statistics.incorrect:,} incorrect chains"
    )
    console.print(
        f"  {statistics.both:,} problems have both; incorrect for {counts(statistics.causes)}; "
        f"rejected for {counts(statistics.rejected)}"
    )
    console.print(
        f"  chosen {statistics.chosen_steps:.1f} turns and {statistics.chosen_calls:.1f} calls, "
        f"rejected {statistics.rejected_steps:.1f} and {statistics.rejected_calls:.1f}; chosen is "
        f"shorter in {statistics.chosen_shorter:,}, longer in {statistics.chosen_longer:,}"
    )
