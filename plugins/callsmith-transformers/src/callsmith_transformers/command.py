"""``callsmith export-model``: a student for other programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import click
from rich.markup import escape

from callsmith.chain import JSON
from callsmith.cli.common import console, errors, home_option, json_option, print_json, say_next
from callsmith.workspace import Workspace

URL = "http://127.0.0.1:8080/v1"
"""Where llama.cpp's server listens if it is not told otherwise."""


@click.command("export-model")
@click.argument("student")
@click.option(
    "--to",
    "form",
    type=click.Choice(["hf", "ollama", "gguf"]),
    required=True,
    help="A folder for transformers and vLLM, one for Ollama, or a file for llama.cpp.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write. [default: exports/STUDENT-FORM in the workspace]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    help="Of the weights. [default: as they are stored]",
)
@home_option
@json_option
def export_model_command(
    student: str,
    form: str,
    out: Path | None,
    precision: str | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Write STUDENT, a model trained here or hf:PATH, for other programs.

    An adapter is merged into its base. What comes out answers as the student did.

    \b
    Examples:
      callsmith export-model better --to ollama
      callsmith export-model better --to gguf --precision float16
      callsmith export-model hf:./my-adapter --to hf --out merged
    """
    from callsmith_transformers.exporting import export
    from callsmith_transformers.modelfile import OWN_TEMPLATE, is_native

    workspace = Workspace(home)
    name = _name(student)
    folder = out or workspace.home / "exports" / f"{name}-{form}"
    facts = export(workspace, student, name, form, folder, precision or "").facts
    commands = _next_commands(name, form, folder, facts)
    warnings = [OWN_TEMPLATE] if form == "ollama" and is_native(facts) else []
    if as_json:
        print_json({"folder": str(folder), "warnings": warnings, "next": list(commands)})
        return
    console.print(f"[dim]Written:[/] [bold]{escape(str(folder))}[/]", soft_wrap=True)
    for warning in warnings:
        errors.print(
            f"[yellow]{escape(name)} calls functions in its chat template's own way, which is not "
            f"in the Modelfile: {escape(warning)}[/]",
            soft_wrap=True,
        )
    for command, what in commands.items():
        say_next(command, what)


def _name(student: str) -> str:
    """What the model is called in other programs: small letters, digits and a few signs."""
    scheme, _, rest = student.partition(":")
    name = Path(rest).name if scheme == "hf" else student
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "student"


def _next_commands(name: str, form: str, folder: Path, facts: Mapping[str, JSON]) -> dict[str, str]:
    """How to go on, each command with what it does."""
    task = facts.get("task")
    question = f"-t {shlex.quote(task)} --problem 0" if task else '"What is 12 * 7?" -f "math.*"'
    # Servers don't know what a model was trained on.
    trained = f"--dialect {facts.get('dialect', 'text')}"
    trained += f" --shots {facts['shots']}" if "shots" in facts else ""
    ask = f"callsmith ask {question} -m"
    path = shlex.quote(str(folder))
    if form == "ollama":
        load = f"ollama create {name} -f {path}/Modelfile"
        return {load: "loads it", f"{ask} ollama:{name} {trained}": "uses it"}
    if form == "gguf":
        serve = f"llama-server --jinja -m {path}/{name}.gguf --alias {name}"
        return {serve: "serves it", f"{ask} openai:{name}@{URL} {trained}": "uses it"}
    return {f"{ask} hf:{path}": "uses it"}
