"""The command line: one file per command, imported when it is used.

What the user can mend ends in one sentence and exit code 2; an interruption in exit code 130.
"""

from __future__ import annotations

import errno
import importlib
import sys
from typing import NoReturn

import click

from callsmith.errors import CallsmithError, Stopped

COMMANDS = {
    "run": "Run a recipe: teach, pairs, train, eval, in one go.",
    "ask": "Let a model solve one problem, step by step.",
    "teach": "Let a model work through many problems and record its chains.",
    "pairs": "Build preference pairs of recorded chains.",
    "train": "Train a student on pairs or chains.",
    "eval": "Measure a model on problems it has not seen.",
    "runs": "List the runs of the workspace.",
    "show": "Show a run, or one chain step by step.",
    "rescore": "Judge a run's chains again, asking no model.",
    "export": "Write a run's chains to a file.",
    "models": "List the models that a server has, or those trained here.",
    "plugins": "List plugins, what they provide, and what is broken.",
    "functions": "List functions, or show how one is used.",
    "tasks": "List tasks, or show one with sample problems.",
    "new-pack": "Begin a package of functions of your own.",
    "check-task": "Check a task's verifier and references, with no model.",
    "check-pack": "Check a function pack and its plugin's tasks, with no model.",
}
"""Command to its line in the help; the module is named like it."""


class Commands(click.Group):
    """Commands by name: ours from modules beside this one, plugins' through the hook."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from callsmith.plugins import load_registry

            raise click.UsageError(load_registry().why_missing("commands", name, COMMANDS))
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        from callsmith.plugins import load_registry

        return [*COMMANDS, *load_registry().names("commands")]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module = name.replace("-", "_")
            found = importlib.import_module(f"callsmith.cli.{module}")
            command: click.Command = getattr(found, f"{module}_command")
            return command
        from callsmith.plugins import load_registry

        registry = load_registry()
        if name not in registry.names("commands"):
            return None
        plugged: click.Command = registry.resolve("commands", name)
        return plugged

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The lines stand here, so that the help imports no command.
        with formatter.section("Commands"):
            plugged = [name for name in self.list_commands(ctx) if name not in COMMANDS]
            owners = _owners()
            said = {name: f"Of {owners[name]}: callsmith {name} --help" for name in plugged}
            formatter.write_dl([*COMMANDS.items(), *said.items()])


def _owners() -> dict[str, str]:
    """The distribution that each command of a plugin comes from."""
    from callsmith.plugins import load_registry

    plugins = load_registry().plugins
    return {name: one.distribution for one in plugins for name in one.targets["commands"]}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callsmith")
def callsmith() -> None:
    """Teach small language models to solve reasoning problems by calling functions.

    \b
    Start here:
      callsmith run tiny        the whole pipeline, with models that are built in
      callsmith ask -t wordproblems --split test --problem 3 -m tiny:teacher
      callsmith teach -t wordproblems -m tiny:teacher -n 100
    """


USERS_TO_MEND = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the file system that no code here can have caused."""


def main() -> None:
    """The ``callsmith`` command."""
    try:
        code = callsmith(standalone_mode=False)
        if isinstance(code, int) and code:  # what a command gave to Exit
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except Stopped as error:
        click.echo(f"\nStopped: {error}.", err=True)
        sys.exit(130)
    except CallsmithError as error:
        _fail("; ".join([str(error), *getattr(error, "__notes__", ())]))
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough.
        sys.stderr.close()
    except OSError as error:
        if error.errno not in USERS_TO_MEND:
            raise
        _fail(f"{error.filename or 'a file'} can't be read or written: {error.strerror}")
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted. What was recorded stays; the same command goes on.", err=True)
        sys.exit(130)


def _fail(sentence: str) -> NoReturn:
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(sentence, err=True)
    sys.exit(2)
