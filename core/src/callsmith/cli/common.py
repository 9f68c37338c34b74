"""What commands share: options, tables, progress, and how values are shown."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from callsmith.chain import JSON
from callsmith.errors import DataError

F = TypeVar("F", bound=Callable[..., Any])

# In a pipe nothing is shortened to fit a terminal that isn't there.
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160

console = Console(width=WIDTH, highlight=False)
errors = Console(stderr=True, highlight=False)

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="The workspace folder. [default: $CALLSMITH_HOME or ./.callsmith]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def prompt_options(command: F) -> F:
    """Options that shape what a model is shown."""
    for option in reversed(
        [
            click.option("--task", "-t", required=True, help="A task's name, or a JSONL file."),
            click.option(
                "--task-option",
                "-O",
                "task_options",
                multiple=True,
                metavar="KEY=VALUE",
                help="An option of the task, such as data=FOLDER; may be repeated.",
            ),
            click.option(
                "--functions",
                "-f",
                multiple=True,
                metavar="NAME",
                help="Functions in place of the task's: math.add, math.*; may be repeated.",
            ),
            click.option(
                "--no-functions", is_flag=True, help="Offer none but answer: the control."
            ),
            click.option(
                "--dialect",
                type=click.Choice(["auto", "text", "native"]),
                default="auto",
                show_default=True,
                help="How calls are written.",
            ),
            click.option(
                "--shots", type=click.IntRange(0), help="Worked examples shown. [default: all]"
            ),
            click.option("--forget-faults", is_flag=True, help="Failed turns are not shown again."),
        ]
    ):
        command = option(command)
    return command


def rollout_options(split: str) -> Callable[[F], F]:
    """Options of a run over many problems; ``split`` is the default split."""

    def decorate(command: F) -> F:
        for option in reversed(
            [
                click.option(
                    "--model",
                    "-m",
                    required=True,
                    help="scheme:name, reference, or a model trained here.",
                ),
                click.option(
                    "--model-option",
                    "-o",
                    "model_options",
                    multiple=True,
                    metavar="KEY=VALUE",
                    help="An option of the backend; may be repeated.",
                ),
                click.option("--split", default=split, show_default=True),
                click.option("--run", default="", help="The run's name. [default: made up]"),
                click.option("--limit", "-n", type=click.IntRange(1), help="So many problems."),
                click.option("--attempts", type=click.IntRange(1), default=1, show_default=True),
                click.option("--seed", type=int, default=0, show_default=True),
                click.option(
                    "--temperature", type=click.FloatRange(0), default=0.0, show_default=True
                ),
                click.option(
                    "--top-p", type=click.FloatRange(0, 1), default=1.0, show_default=True
                ),
                click.option(
                    "--max-tokens",
                    type=click.IntRange(1),
                    default=512,
                    show_default=True,
                    help="Tokens in one turn, at most.",
                ),
                click.option(
                    "--steps",
                    type=click.IntRange(1),
                    default=16,
                    show_default=True,
                    help="Turns in one chain, at most.",
                ),
                click.option(
                    "--calls",
                    type=click.IntRange(1),
                    default=64,
                    show_default=True,
                    help="Calls in one chain, at most.",
                ),
                click.option(
                    "--tokens",
                    type=click.IntRange(1),
                    default=16_384,
                    show_default=True,
                    help="Tokens that a model may write in one chain.",
                ),
                click.option(
                    "--seconds",
                    type=click.FloatRange(0),
                    default=600.0,
                    show_default=True,
                    help="Time for one chain, at most.",
                ),
                click.option(
                    "--concurrency",
                    "-j",
                    type=click.IntRange(1),
                    help="Chains in flight. [default: what suits the backend]",
                ),
                click.option(
                    "--max-retries",
                    type=click.IntRange(0),
                    default=8,
                    show_default=True,
                    help="How often a server that is away is asked again.",
                ),
            ]
        ):
            command = option(command)
        return command

    return decorate


def read_options(pairs: Iterable[str]) -> dict[str, JSON]:
    """``KEY=VALUE`` to a dict; a value that is JSON is read as JSON."""
    options: dict[str, JSON] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise DataError(f"the option {pair!r} has no value: write KEY=VALUE")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def read_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Command-line values as the fields of a config."""
    for key in ("task_options", "model_options"):
        if key in settings:
            settings[key] = read_options(settings[key])
    named = settings.pop("functions")
    no_functions = settings.pop("no_functions")
    settings["functions"] = () if no_functions else named or None
    return settings


def table(*columns: str, title: str = "", right: Sequence[str] = (), fold: str = "") -> Table:
    """A plain table, a line a row: what is too wide ends in … (but ``fold``, which is wrapped).

    The columns in ``right`` are numbers, never shortened. Give cells as `cell` or trusted markup.
    """
    made = Table(
        title=escape(title) or None, title_justify="left", box=None, pad_edge=False, padding=(0, 1)
    )
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            header_style="bold",
            no_wrap=column in right,
            overflow="fold" if column == fold else "ellipsis",
        )
    return made


def cell(value: object, style: str = "") -> Text:
    """A table's cell in one line, shortened where there is no room."""
    text = visible(" ".join(str(value).split()))
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def visible(text: str) -> str:
    """The text without what would steer the terminal: models and data sets may write anything."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", text)


def is_narrow() -> bool:
    """Whether a wide table should leave out what can be done without."""
    return console.width < 110


def print_json(value: JSON) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def say_next(command: str, what: str) -> None:
    """The line that tells how to go on."""
    console.print(f"[dim]Next:[/] [bold cyan]{escape(command)}[/] [dim]{what}[/]", soft_wrap=True)


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def counts(values: Mapping[str, int]) -> str:
    """``unparsable 3, timeout 1``, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"
