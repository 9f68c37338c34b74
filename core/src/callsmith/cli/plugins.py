from __future__ import annotations

import click
from rich.markup import escape

from callsmith.cli.common import console, errors, json_option, print_json, table
from callsmith.discovery import KINDS
from callsmith.errors import CallsmithError
from callsmith.plugins import Registry, load_registry


@click.command("plugins")
@click.option(
    "--strict",
    is_flag=True,
    help="Import everything, and exit with code 2 if anything is broken or clashes.",
)
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
                        "name": broken.name,
                        "distribution": broken.distribution,
                        "version": broken.version,
                        "reason": broken.reason,
                        "remedy": broken.remedy,
                    }
                    for broken in registry.broken
                ],
                "clashes": registry.clashes,
                "slow": [plugin.distribution for plugin in registry.plugins if plugin.slow],
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
            whose = f"{broken.distribution} {broken.version}".rstrip()
            console.print(
                f"\n[bold red]broken:[/] {escape(f'{whose}: {broken.reason}')}", soft_wrap=True
            )
            console.print(f"  [dim]to mend it:[/] {escape(broken.remedy)}", soft_wrap=True)
        for clash in registry.clashes:
            console.print(f"\n[bold yellow]clash:[/] {escape(clash)}", soft_wrap=True)
        for plugin in filter(lambda plugin: plugin.slow, registry.plugins):
            console.print(
                f"\n[bold yellow]slow:[/] {plugin.distribution} {plugin.version} took "
                f"{plugin.seconds:.1f} s to load, and every command waits for it"
            )
            remedy = "its plugin module should import nothing heavy; or leave it out: "
            console.print(f"  [dim]{remedy}[/]CALLSMITH_DISABLE={plugin.distribution}")
        if registry.disabled:
            names = ", ".join(plugin.distribution for plugin in registry.disabled)
            console.print(f"\n[dim]disabled by CALLSMITH_DISABLE: {names}[/]")
    unusable = _unusable(registry) if strict else []
    for reason in unusable:
        errors.print(f"[bold red]broken:[/] {escape(reason)}", soft_wrap=True)
    if strict and (registry.broken or registry.clashes or unusable):
        raise click.exceptions.Exit(2)


def _unusable(registry: Registry) -> list[str]:
    """Why the names that can't be used can't be; what is listed is not imported otherwise."""
    reasons = []
    for kind in KINDS:
        for name in registry.names(kind):
            try:
                registry.resolve(kind, name)
                # What an address opens has no functions before it is opened.
                if kind == "functions" and not registry.addressed_pack(name):
                    registry.pack(name)
            except CallsmithError as error:
                reasons.append(str(error))
    return reasons
