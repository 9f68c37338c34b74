from __future__ import annotations

import click

from callsmith.cli.checks import context_option, finish
from callsmith.cli.common import json_option, say_next
from callsmith.cli.progress import check_progress


@click.command("check-pack")
@click.argument("pack", metavar="NAME|PATH")
@click.option(
    "--fuzz",
    type=click.IntRange(0),
    default=1_000,
    show_default=True,
    help="Valid argument sets, and as many invalid ones, for each function.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws other argument sets.")
@context_option
@json_option
def check_pack_command(pack: str, fuzz: int, seed: int, context: int, as_json: bool) -> None:
    """Check a function pack, and the tasks of its plugin, with no model.

    Its import must be light, its functions documented with examples that run, and they must
    survive argument sets that nobody would give, within their limits. PATH is a project's folder,
    which need not be installed, or a file with functions. Exits with code 2 if a check fails.

    \b
    Examples:
      callsmith check-pack math
      callsmith check-pack . --fuzz 100
      callsmith check-pack my_functions.py
    """
    # Imported here, since the kit for functions brings much that other commands never need.
    from callsmith.testing.packs import check_pack

    with check_progress(pack, quiet=as_json) as progress:
        report = check_pack(pack, fuzz=fuzz, seed=seed, context=context, progress=progress)
    finish(report, as_json)
    if not as_json:
        say_next("callsmith functions", "shows what models are told of each")
