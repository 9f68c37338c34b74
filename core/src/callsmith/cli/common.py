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

from callsmith.chain import JSON, Usage
from callsmith.errors import DataError
from callsmith.evaluation import Price

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
    for key in ("task_options", "model_options", "extra", "executor_options"):
        if key in settings:
            settings[key] = read_options(settings[key])
    if (address := settings.pop("address", None)) is not None:
        settings["executor_options"]["address"] = address
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


def tokens(usage: Usage, price: Price | None = None) -> str:
    """``1,200 tokens read (800 cached), 90 written (20 to reason)``, and what they cost."""
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    reasoning = f" ({usage.reasoning:,} to reason)" if usage.reasoning else ""
    spent = f"{usage.prompt:,} tokens read{cached}, {usage.completion:,} written{reasoning}"
    return f"{spent}; cost {price.of(usage):,.4f}" if price else spent


def counts(values: Mapping[str, int]) -> str:
    """``unparsable 3, timeout 1``, the most frequent first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"
