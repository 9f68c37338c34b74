from __future__ import annotations

import click
from rich.markup import escape

from callsmith.cli.common import console, errors, json_option, print_json, say_next, table
from callsmith.errors import CallsmithError
from callsmith.functions import Function
from callsmith.plugins import Registry, load_registry


@click.command("functions")
@click.argument("names", nargs=-1)
@json_option
def functions_command(names: tuple[str, ...], as_json: bool) -> None:
    """List functions, or show how the named ones are used.

    \b
    Examples:
      callsmith functions
      callsmith functions math.divide
      callsmith functions 'math.*' --json
      callsmith functions 'mcp:python server.py'
    """
    registry = load_registry()
    opened: list[str] = []
    if names:
        with registry.keeping_packs_open():
            chosen = list(registry.functions(names).values())
    else:
        packs = {pack: _whole(registry, pack) for pack in registry.names("functions")}
        chosen = [function for functions in packs.values() for function in functions or ()]
        opened = [pack for pack, functions in packs.items() if functions is None]
    if as_json:
        print_json(
            [
                {
                    "name": function.qualified_name,
                    "role": function.role,
                    "inline": function.inline,
                    "timeout": function.timeout,
                    "schema": function.schema["function"],
                }
                for function in chosen
            ]
        )
    elif names:
        for function in chosen:
            console.print(f"[bold cyan]{function.qualified_name}[/] [dim]{function.role}[/]")
            console.print(function.help + "\n", markup=False)
    else:
        shown = table("function", "role", "what it does", fold="what it does")
        for function in chosen:
            shown.add_row(
                f"[cyan]{function.qualified_name}[/]",
                function.role,
                escape(function.description.splitlines()[0]),
            )
        console.print(shown)
        for pack in opened:
            console.print(f"[cyan]{pack}:ADDRESS[/]  whatever is found at the address")
        if chosen:
            say_next(f"callsmith functions {chosen[0].qualified_name}", "shows how one is used")


def _whole(registry: Registry, pack: str) -> list[Function] | None:
    """A pack's functions, None if they depend on an address.

    A pack that can't be had is said, and keeps no other from being listed.
    """
    try:
        return None if registry.needs_address(pack) else list(registry.pack(pack).values())
    except CallsmithError as error:
        errors.print(f"[bold red]broken:[/] {escape(str(error))}")
        return []
