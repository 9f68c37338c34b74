"""What the commands that check a plugin's parts share."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from callsmith.cli.common import console, print_json

if TYPE_CHECKING:
    from callsmith.testing.report import Report

context_option = click.option(
    "--context",
    type=click.IntRange(1),
    default=8192,
    show_default=True,
    metavar="TOKENS",
    help="What the smallest model that it is meant for can read.",
)


def finish(report: Report, as_json: bool) -> None:
    """Show a report; ends the command with code 2 if a check failed."""
    if as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        console.print(report)
    if not report.ok:
        raise click.exceptions.Exit(2)
