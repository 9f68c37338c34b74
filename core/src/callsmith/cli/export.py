from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from callsmith.cli.common import console, home_option, json_option, print_json
from callsmith.export import Format, export
from callsmith.workspace import Workspace


@click.command("export")
@click.argument("run")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet", "dataset"]),
    help="By default parquet where PATH ends so, else jsonl.",
)
@home_option
@json_option
def export_command(
    run: str, path: Path, form: Format | None, home: Path | None, as_json: bool
) -> None:
    """Write RUN's chains with their verdicts to PATH: JSONL, Parquet, or a Hugging Face dataset.

    \b
    Examples:
      callsmith export my-run chains.jsonl
      callsmith export my-run chains.parquet
      callsmith export my-run chains/ --format dataset
    """
    if str(path) == "-":
        raise click.UsageError("export writes files; for a pipe there is callsmith show RUN --json")
    form = form or ("parquet" if path.suffix == ".parquet" else "jsonl")
    with Workspace(home).store() as store:
        written = export(store.records(store.run(run)), path, form)
    if as_json:
        print_json({"run": run, "path": str(path), "chains": written})
        return
    console.print(f"[bold]{escape(run)}[/]: {written:,} chains → {escape(str(path))}")
