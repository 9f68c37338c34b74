from __future__ import annotations

from collections.abc import Sequence

import click
from rich.markup import escape

from callsmith.cli.common import console, errors, json_option, print_json, say_next, table
from callsmith.errors import CallsmithError
from callsmith.functions import AddressedPack, Function
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
    addressed: dict[str, AddressedPack] = {}
    if names:
        with registry.keeping_packs_open():
            chosen = list(registry.functions(names).values())
    else:
        chosen = []
        for name in registry.names("functions"):
            pack = _whole(registry, name)
            if isinstance(pack, AddressedPack):
                addressed[name] = pack
            else:
                chosen += pack
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
        for name, opener in addressed.items():
            console.print(f"[cyan]{name}:ADDRESS[/]  {escape(opener.description)}")
        if chosen:
            say_next(f"callsmith functions {chosen[0].qualified_name}", "shows how one is used")


def _whole(registry: Registry, name: str) -> Sequence[Function] | AddressedPack:
    """A pack's functions, or what opens it.

    A pack that can't be had is said, and keeps no other from being listed.
    """
    try:
        return registry.addressed_pack(name) or list(registry.pack(name).values())
    except CallsmithError as error:
        errors.print(f"[bold red]broken:[/] {escape(str(error))}")
        return []
