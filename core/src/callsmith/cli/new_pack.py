from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from callsmith.cli.common import console, say_next
from callsmith.cli.options import answer_option
from callsmith.jsonl import AnswerKind
from callsmith.newpack import new_pack
from callsmith.plugins import load_registry

HOLDS = {
    "functions.py": "the functions: begin here",
    "pack.py": "which of them belong to the pack",
    "task.py": "the task",
    "problems.jsonl": "its problems",
    "plugin.py": "what callsmith is told of it",
    "test_pack.py": "tests, callsmith's own among them",
    "test_task.py": "tests of the task",
    "publish.yml": "a release on GitHub goes to PyPI",
    "pyproject.toml": "name, version, what it needs",
}


@click.command("new-pack")
@click.argument("name")
@click.option("--with-task", is_flag=True, help="With a task: problems and a verifier.")
@click.option(
    "--from",
    "functions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A Python file whose functions the pack begins with.",
)
@click.option(
    "--problems",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A JSONL file of problems that becomes its task.",
)
@answer_option
def new_pack_command(
    name: str,
    with_task: bool,
    functions: Path | None,
    problems: Path | None,
    answer: AnswerKind | None,
) -> None:
    """Make a package of functions, complete and tested, in the folder NAME.

    Without --from it begins with two worked functions. Once installed, -f NAME offers them.

    \b
    Examples:
      callsmith new-pack shop
      callsmith new-pack shop --with-task
      callsmith new-pack shop --from my_functions.py --problems my.jsonl --answer label
    """
    if answer and not problems:
        raise click.UsageError("--answer says how answers in a file are compared: --problems FILE")
    made = new_pack(
        name,
        load_registry(),
        with_task=with_task,
        functions=functions,
        problems=problems,
        answer=answer or "number",
    )
    console.print(f"[bold]{made.distribution}[/] in {escape(str(made.folder))}/:")
    for path in made.files:
        what = HOLDS.get(Path(path).name, "")
        console.print(f"  {path:<36} [dim]{what}[/]" if what else f"  {path}")
    for sentence in made.owed:
        console.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)
    say_next(f"cd {made.folder} && pip install -e '.[test]' && pytest", "installs and tests it")
    say_next(f"callsmith ask QUESTION -m MODEL -f {name}", "uses it, once it is installed")
