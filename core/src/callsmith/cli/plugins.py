from __future__ import annotations

import click
from rich.markup import escape

from callsmith.cli.common import console, json_option, print_json, table
from callsmith.plugins import load_registry


@click.command("plugins")
@click.option("--strict", is_flag=True, help="Exit with code 2 if a plugin is broken.")
@json_option
def plugins_command(strict: bool, as_json: bool) -> None:
    """List plugins, what they provide, and what is broken.

    \b
    Examples:
      callsmith plugins
      CALLSMITH_DISABLE=ollama callsmith plugins
    """
    registry = load_registry()
    if as_json:
        print_json(
            {
                "plugins": [
                    {
                        "name": plugin.name,
                        "distribution": plugin.distribution,
                        "version": plugin.version,
                        "provides": {kind: list(names) for kind, names in plugin.provides.items()},
                        "seconds": round(plugin.seconds, 4),
                    }
                    for plugin in registry.plugins
                ],
                "broken": [
                    {
                        "distribution": broken.distribution,
                        "version": broken.version,
                        "reason": broken.reason,
                    }
                    for broken in registry.broken
                ],
                "clashes": registry.clashes,
                "disabled": [plugin.distribution for plugin in registry.disabled],
            }
        )
    else:
        shown = table("plugin", "version", "provides", fold="provides")
        for plugin in registry.plugins:
            provides = [
                f"[cyan]{kind}[/] {', '.join(names)}"
                for kind, names in plugin.provides.items()
                if names
            ]
            shown.add_row(plugin.distribution, plugin.version, "\n".join(provides))
        console.print(shown)
        for broken in registry.broken:
            name = f"{broken.distribution} {broken.version}"
            console.print(f"\n[bold red]broken:[/] {name}: {escape(broken.reason)}")
        for clash in registry.clashes:
            console.print(f"\n[bold yellow]clash:[/] {escape(clash)}")
        if registry.disabled:
            names = ", ".join(plugin.distribution for plugin in registry.disabled)
            console.print(f"\n[dim]disabled by CALLSMITH_DISABLE: {names}[/]")
    if strict and registry.broken:
        raise click.exceptions.Exit(2)
