from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from callsmith.cli.common import (
    console,
    counts,
    errors,
    home_option,
    json_option,
    percent,
    print_json,
    read_settings,
    say_next,
    tokens,
)
from callsmith.cli.options import prompt_options, rollout_options
from callsmith.cli.progress import pull_progress, rollout_progress, say_ready
from callsmith.configs import RolloutConfig
from callsmith.evaluation import Price, evaluate
from callsmith.workspace import Workspace


@click.command("teach")
@prompt_options
@rollout_options("train")
@home_option
@json_option
def teach_command(
    home: Path | None, as_json: bool, pull: bool, price: Price | None, **settings: Any
) -> None:
    """Let a model work through many problems and record its chains.

    Every chain is committed before it is counted: stop it any way you like, and the same command
    goes on where it stopped.

    \b
    Examples:
      callsmith teach -t gsm8k -m reference -O data=DATA/gsm8k
      callsmith teach -t gsm8k -m ollama:llama3.1 --pull --attempts 4 --temperature 0.8
      callsmith teach -t wordproblems -m tiny:teacher -n 300
      callsmith teach -t wordproblems -m tiny:student -n 300 --attempts 8 --temperature 1
      callsmith teach --problems my.jsonl --answer label -f my_functions.py -m ollama:llama3.1
    """
    config = RolloutConfig(**read_settings(settings))
    if not config.task:
        raise click.UsageError("say which problems: --task NAME, or --problems FILE")
    workspace = Workspace(home)
    with (
        pull_progress(pull, as_json) as on_pull,
        rollout_progress(config.name, as_json) as progress,
    ):
        report = workspace.teach(config, progress, on_ready=say_ready, on_pull=on_pull)
    for warning in report.warnings:
        errors.print(f"[yellow]{escape(warning)}[/]")
    with workspace.store() as store:
        measured = evaluate(store.records(report.run))
    if as_json:
        made = report.tally
        facts = {"run": report.run.name, "new": made.done, **measured.to_json()}
        facts |= {"retries": made.retries, "trouble": made.trouble}
        print_json(facts | ({"cost": price.of(measured.usage)} if price else {}))
        return
    low, high = measured.interval
    console.print(
        f"[bold]{escape(report.run.name)}[/]: {measured.chains:,} chains over "
        f"{measured.problems:,} problems ({report.tally.done:,} new, {report.tally.seconds:.1f} s)"
    )
    # Those that were settled early have fewer attempts; each problem counts the same.
    mean = ", the mean over problems" if measured.chains % measured.problems else ""
    interval = f"[dim]({percent(low)} to {percent(high)}{mean})[/]"
    console.print(
        f"  correct {percent(measured.accuracy)} {interval}, "
        f"grounded {percent(measured.grounded)}; faults: {counts(measured.faults)}"
    )
    if stops := {stop: count for stop, count in measured.stops.items() if stop != "answer"}:
        console.print(f"  no answer: stopped by {counts(stops)}")
    if report.tally.retries:
        console.print(
            f"  [yellow]retries {report.tally.retries:,}, the last since "
            f"{escape(report.tally.trouble)}[/]"
        )
    if measured.usage.total:
        console.print(f"  {tokens(measured.usage, price)}")
    if 0 < measured.accuracy < 1:
        say_next(f"callsmith pairs NAME {report.run.name}", "builds preference pairs of them")
    else:
        say_next(f"callsmith show {report.run.name}", "shows them; pairs need both right and wrong")
