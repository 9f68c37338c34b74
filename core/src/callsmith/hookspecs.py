"""The whole contract between callsmith and its plugins.

A plugin is a module that a distribution names under the entry-point group ``callsmith``::

    [project.entry-points.callsmith]
    chess = "callsmith_chess.plugin"

It implements some of the hooks below, each marked ``@hookimpl``, which it imports from
``callsmith.hookspecs``. Every hook but the last returns a mapping from names to where the thing is
found, ``"package.module:attribute"``, imported only when somebody uses it; so a plugin module
imports nothing heavy. What a plugin does wrong is shown by ``callsmith plugins`` and disturbs
nothing else.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from callsmith.chain import Chain

hookspec = HookspecMarker("callsmith")
hookimpl = HookimplMarker("callsmith")

Targets: TypeAlias = dict[str, str]
"""Names to ``"package.module:attribute"``."""


@hookspec
def callsmith_functions() -> Targets:
    """Function packs: the pack's name to a `FunctionPack`, a LangChain toolkit or `AddressedPack`.

    The last opens one for what follows the colon in ``-f NAME:ADDRESS``; the pack's ``close`` is
    called when the last run that uses it has ended.
    """


@hookspec
def callsmith_tasks() -> Targets:
    """Tasks: the task's name to a class or factory that gives a `Task` for its options."""


@hookspec
def callsmith_backends() -> Targets:
    """Backends: the scheme of ``scheme:name`` to ``open(name, *, task, **options) -> Backend``."""


@hookspec
def callsmith_trainers() -> Targets:
    """Trainers: the trainer's name to a class of `Trainer`, made without arguments."""


@hookspec
def callsmith_executors() -> Targets:
    """Executors: the executor's name to a class or factory that gives one for its options."""


@hookspec
def callsmith_commands() -> Targets:
    """Commands: the name after ``callsmith`` on the command line to a click command."""


@hookspec
def callsmith_recipes() -> Targets:
    """Recipes: the recipe's name to a file in a package, ``"package:recipes/tiny.toml"``."""


@hookspec
def callsmith_on_chain(chain: Chain) -> None:
    """Called with every chain once it is recorded; what it raises is logged, never felt."""
