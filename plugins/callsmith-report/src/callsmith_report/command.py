"""``callsmith report``, which ``callsmith run`` also ends with."""

from __future__ import annotations

from pathlib import Path

import click

from callsmith.cli.common import console, home_option, json_option, print_json
from callsmith.errors import DataError
from callsmith.workspace import Workspace


@click.command("report")
@click.argument("recipe")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write. [default: reports/RECIPE.html in the workspace]",
)
@home_option
@json_option
def report_command(
    recipe: str,
    home: Path | None,
    out: Path | None = None,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Write what RECIPE came to as one HTML page, to be read in a browser.

    RECIPE is the name of one that was run to its end. The page needs no network.

    \b
    Examples:
      callsmith report tiny
      callsmith report tiny --out tiny.html
    """
    from callsmith_report.page import render

    workspace = Workspace(home)
    html = render(workspace, recipe)
    path = out or workspace.home / "reports" / f"{recipe}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"can't write {path} ({reason}): choose another with --out") from error
    if as_json:
        print_json({"report": str(path)})
    elif not quiet:
        console.print(f"[dim]Report:[/] [bold cyan]{path}[/]", highlight=False, soft_wrap=True)
