from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from callsmith.backends import Catalogue, ModelInfo, split_url
from callsmith.cli.common import (
    cell,
    console,
    home_option,
    json_option,
    print_json,
    read_options,
    say_next,
    table,
)
from callsmith.errors import DataError
from callsmith.models import ModelFolder, trained_names
from callsmith.workspace import Workspace


@click.command("models")
@click.argument("server", metavar="[SCHEME[@URL]]", default="")
@click.option(
    "--model-option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the backend, such as key_env=VARIABLE; may be repeated.",
)
@home_option
@json_option
def models_command(server: str, options: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """List the models that a server has, or those trained in this workspace.

    \b
    Examples:
      callsmith models
      callsmith models ollama
      callsmith models openai@http://127.0.0.1:8000/v1
    """
    workspace = Workspace(home)
    scheme, url = split_url(server)
    if scheme:
        spec = f"{scheme}:@{url}" if url else f"{scheme}:"
        found = asyncio.run(_ask_server(workspace, spec, options))
    else:
        found = _trained(workspace.home)
    if as_json:
        print_json([asdict(model) for model in found])
        return
    if not found:
        console.print(f"no models {'on ' + server if server else f'trained in {workspace.home}'}")
        return
    right = ("size", "context")
    shown = table("model", *right, "tools", "", right=right)
    for model in found:
        shown.add_row(
            cell(model.name, "bold"),
            _readable_size(model.size),
            f"{model.context:,}" if model.context else "",
            {True: "[green]yes[/]", False: "no", None: ""}[model.tools],
            cell(model.detail if model.chats else f"{model.detail}, does not chat", "dim"),
        )
    console.print(shown)
    # One that takes functions if there is, else one of which that is not known.
    chatting = sorted((m for m in found if m.chats), key=lambda m: (not m.tools, m.tools is False))
    if chatting:
        name = chatting[0].name
        example = f"{scheme}:{name}{'@' + url if url else ''}" if scheme else name
        given = "".join(f" -o {shlex.quote(option)}" for option in options)
        # One that was trained here knows its task, and may know nothing else.
        what = '"What is 12 * 7?" -f "math.*"' if scheme else "-t TASK --split test --problem 0"
        say_next(f"callsmith ask {what} -m {shlex.quote(example)}{given}", "asks one")


async def _ask_server(
    workspace: Workspace, spec: str, options: tuple[str, ...]
) -> Sequence[ModelInfo]:
    backend = workspace.backend(spec, options=read_options(options))
    try:
        if not isinstance(backend, Catalogue):
            raise DataError(f"{spec.partition(':')[0]} is no server: it has no list of models")
        return await backend.models()
    finally:
        await backend.close()


def _trained(home: Path) -> list[ModelInfo]:
    """The models of the workspace, as a server would list them."""
    found = []
    for name in trained_names(home):
        folder = ModelFolder(home, name)
        size = sum(file.stat().st_size for file in folder.path.glob("*.safetensors"))
        facts = folder.marker()["facts"]
        detail = f"{facts.get('trainer', '')} of {facts.get('student', '')}"
        tools = facts.get("dialect") == "native" if "dialect" in facts else None
        found.append(ModelInfo(name, size, tools=tools, detail=detail))
    return found


def _readable_size(size: int) -> str:
    """``4.7 GB``, in powers of 1,000 as servers show it."""
    if not size:
        return ""
    number, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while number >= 1000 and unit != "TB":
        number, unit = number / 1000, next(units)
    return f"{number:.1f} {unit}"
