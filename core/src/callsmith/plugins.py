"""The registry: what the installed plugins provide, by kind and name, imported only on use.

A name that two plugins claim belongs to the distribution called ``callsmith-NAME`` (built-in parts
and our own plugins keep theirs), otherwise to neither. How plugins are found and loaded is
`discovery`'s.
"""

from __future__ import annotations

import gc
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import cache, cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsmith import __version__
from callsmith.discovery import (
    Found,
    Kind,
    Plugin,
    canonical,
    discover,
    quiet_stdout,
    reason,
    remedy_for,
)
from callsmith.errors import CallsmithError, PluginError
from callsmith.options import check_options, nearest_of
from callsmith.packs import OpenPacks

if TYPE_CHECKING:
    from callsmith.backends import Backend
    from callsmith.chain import JSON, Chain
    from callsmith.executors import Executor
    from callsmith.functions import AddressedPack, Function, FunctionPack
    from callsmith.tasks import FunctionRef, Task
    from callsmith.training import Trainer

logger = logging.getLogger(__name__)

WORDS: Mapping[Kind, str] = {
    "functions": "function pack",
    "tasks": "task",
    "backends": "backend",
    "trainers": "trainer",
    "executors": "executor",
    "commands": "command",
    "recipes": "recipe",
}

HOMES: Mapping[Kind, Mapping[str, str]] = {
    "functions": {"math": "callsmith-math", "logic": "callsmith-logic", "mcp": "callsmith-mcp"},
    "tasks": dict.fromkeys(("gsm8k", "wordproblems"), "callsmith-math")
    | dict.fromkeys(("deduction", "folio", "prontoqa", "proofwriter"), "callsmith-logic"),
    "backends": {
        "gsm8k-solutions": "callsmith-math",
        "hf": "callsmith-transformers",
        "ollama": "callsmith-ollama",
        "openai": "callsmith-openai",
        "tiny": "callsmith-tiny",
    },
    "trainers": {"dpo": "callsmith-dpo", "sft": "callsmith-dpo"},
    "executors": {"ray": "callsmith-ray"},
    "commands": {"export-model": "callsmith-transformers", "report": "callsmith-report"},
    "recipes": {"tiny": "callsmith-tiny", "tiny-logic": "callsmith-tiny"},
}
"""Where the names of our own plugins come from, for those who have yet to install them."""


class Registry:
    """What the plugins provide. Every method that takes a name raises PluginError for a wrong one.

    ``plugins``, ``broken`` and ``disabled`` say what was found; ``clashes`` is a sentence for each
    name that several plugins claim.
    """

    def __init__(self, found: Found) -> None:
        self.plugins = found.plugins
        self.broken = found.broken
        self.disabled = found.disabled
        claims: dict[tuple[Kind, str], list[Plugin]] = {}
        for plugin in found.plugins:
            for kind, names in plugin.targets.items():
                for name in names:
                    claims.setdefault((kind, name), []).append(plugin)
        self._owners = {key: _owner(*key, plugins) for key, plugins in claims.items()}
        self._clashes = {
            key: _describe_clash(*key, plugins, self._owners[key])
            for key, plugins in claims.items()
            if len(plugins) > 1
        }
        self._packs: dict[str, Mapping[str, Function]] = {}
        self._open = OpenPacks()

    @property
    def clashes(self) -> list[str]:
        return list(self._clashes.values())

    @property
    def versions(self) -> dict[str, str]:
        """Distributions and their versions, callsmith's own among them."""
        return {plugin.distribution: plugin.version for plugin in self.plugins}

    def names(self, kind: Kind) -> list[str]:
        """What can be had of a kind, sorted."""
        return sorted(name for (k, name), owner in self._owners.items() if k == kind and owner)

    def resolve(self, kind: Kind, name: str) -> Any:
        """Import what a name stands for; for a recipe, its file as a Traversable.

        Raises PluginError that names the distribution if it can't be imported, or is something
        else than its kind must be.
        """
        plugin = self._owners.get((kind, name))
        if plugin is None:
            raise PluginError(self.why_missing(kind, name))
        module, _, attribute = plugin.targets[kind][name].partition(":")
        try:
            with quiet_stdout():
                if kind == "recipes":
                    from importlib import resources

                    file = resources.files(module).joinpath(attribute)
                    if not file.is_file():
                        raise FileNotFoundError(f"{module} has no file {attribute}")
                    return file
                found: Any = import_module(module)
                for part in attribute.split("."):
                    found = getattr(found, part)
                _check_kind(kind, found)
                return found
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._unusable(kind, name, error) from error

    def pack(self, name: str) -> Mapping[str, Function]:
        """The functions of a pack by their bare names."""
        if name not in self._packs:
            addressed = self.addressed_pack(name)
            if addressed:
                raise PluginError(f"{name} is written {name}:ADDRESS: {addressed.description}")
            pack = self.resolve("functions", name)
            try:
                # Kept, so that validators and the examples' results are made once.
                self._packs[name] = _checked_pack(repr(name), pack).named(name)
            except (Exception, SystemExit) as error:
                raise self._unusable("functions", name, error) from error
        return self._packs[name]

    def addressed_pack(self, name: str) -> AddressedPack | None:
        """What opens packs of this name, as in ``mcp:COMMAND``; None if it is a pack itself."""
        from callsmith.functions import AddressedPack

        target = self.resolve("functions", name)
        return target if isinstance(target, AddressedPack) else None

    def opened_pack(self, ref: str) -> Mapping[str, Function]:
        """The functions of a pack that ``NAME:ADDRESS`` opens, by their bare names.

        It stays open for `keeping_packs_open`, and outside of that for the whole program.
        """
        name, _, address = ref.partition(":")
        addressed = self.addressed_pack(name)
        if not addressed:
            raise PluginError(f"{name} is opened by no address: write {name}.NAME or {name}.*")

        def open_pack() -> FunctionPack:
            return _checked_pack(
                repr(ref), self._make("functions", name, addressed.open, {}, address)
            )

        return self._open.get(ref, name, open_pack)

    def keeping_packs_open(self) -> AbstractContextManager[None]:
        """For the length of a run: the last one that leaves closes what was opened."""
        return self._open.kept()

    def functions(self, refs: Iterable[FunctionRef]) -> dict[str, Function]:
        """The functions that ``math.add``, ``math``, ``my.py`` or Functions stand for, by name.

        ``mcp:COMMAND`` stands for all of a pack that is opened by this address. Raises PluginError
        if two different ones would go by one name.
        """
        chosen: dict[str, Function] = {}
        sources: dict[str, FunctionRef] = {}
        for ref in refs:
            for function in self._referred(ref):
                other = chosen.setdefault(function.name, function)
                source = sources.setdefault(function.name, ref)
                if other.target is not function.target:
                    raise PluginError(
                        f"{_told_apart(other, source)} and {_told_apart(function, ref)} would both "
                        f"be {function.name} to the model: leave one out, or rename yours with "
                        "@function(name=...)"
                    )
        return chosen

    def task(self, name: str, /, **options: JSON) -> Task:
        """The task, made with its options. Raises DataError for options it does not have."""
        from callsmith.tasks import Task

        task = self._make("tasks", name, self.resolve("tasks", name), options)
        lacks = [
            part for part in (*Task.__annotations__, "problems", "judge") if not hasattr(task, part)
        ]
        if lacks:
            raise PluginError(f"task {name!r} is incomplete: it lacks {', '.join(lacks)}")
        return task  # type: ignore[no-any-return]

    def backend(self, spec: str, /, task: Task | None = None, **options: JSON) -> Backend:
        """The backend for a model named ``scheme:name``, or ``scheme`` alone.

        Raises DataError for options it does not have, and the errors of `errors` that it raises
        itself (Rejected, Unavailable) as they are.
        """
        scheme, _, name = spec.partition(":")
        factory = self.resolve("backends", scheme)
        backend: Backend = self._make("backends", scheme, factory, options, name, task=task)
        lacks = [part for part in ("prepare", "complete", "close") if not hasattr(backend, part)]
        if lacks:
            raise PluginError(f"backend {scheme!r} is incomplete: it lacks {', '.join(lacks)}")
        return backend

    def trainer(self, name: str) -> Trainer:
        """The trainer."""
        trainer: Trainer = self._make("trainers", name, self.resolve("trainers", name), {})
        return trainer

    def executor(self, name: str, /, **options: JSON) -> Executor:
        """The executor, made with its options. Raises DataError for options it does not have."""
        factory = self.resolve("executors", name)
        executor: Executor = self._make("executors", name, factory, options)
        return executor

    @cached_property
    def _observers(self) -> list[Plugin]:
        """Asked for every chain: to call those that observe nothing would cost more than a step."""
        return [p for p in self.plugins if p.manager.hook.callsmith_on_chain.get_hookimpls()]

    def notify(self, chain: Chain) -> None:
        """Tell the observers of a recorded chain. What they raise is logged and goes no further."""
        for plugin in self._observers:
            try:
                plugin.manager.hook.callsmith_on_chain(chain=chain)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                logger.warning("%s failed on a chain: %s", plugin.distribution, reason(error))

    def _places_of(self, name: str) -> list[str]:
        """Where there is a function of this name, as it is referred to."""
        found = []
        for pack in self.names("functions"):
            with suppress(CallsmithError):
                if not self.addressed_pack(pack) and name in self.pack(pack):
                    found.append(f"{pack}.{name}")
        return found

    def _referred(self, ref: FunctionRef) -> Iterable[Function]:
        from callsmith.functions import as_functions

        if not isinstance(ref, str):
            return as_functions(ref)
        if re.match(r"[\w-]{2,}:", ref):
            return self.opened_pack(ref).values()
        if ref.endswith(".py"):
            from callsmith.functionfiles import load_functions

            return load_functions(ref).values()
        pack_name, dot, name = ref.partition(".")
        if "/" in ref or (not dot and pack_name not in self.names("functions")):
            known = " or ".join(self._places_of(ref))
            way_out = f"did you mean {known}?" if known else "write PACK, PACK.NAME or FILE.py"
            if (Path(ref) / "pyproject.toml").exists():
                way_out = f"a pack in a folder is installed first: pip install -e {ref}"
            raise PluginError(f"{self.why_missing('functions', ref)} ({way_out})")
        pack = self.pack(pack_name)
        if name in ("", "*"):
            return pack.values()
        if name not in pack:
            raise PluginError(
                f"there is no function {name!r} in {pack_name}; {nearest_of(name, list(pack))}"
            )
        return [pack[name]]

    def _make(
        self,
        kind: Kind,
        name: str,
        factory: Callable[..., Any],
        options: Mapping[str, JSON],
        *args: str,
        **given: Task | None,
    ) -> Any:
        check_options(f"{WORDS[kind]} {name!r}", factory, options, len(args), given)
        try:
            return factory(*args, **given, **options)
        except CallsmithError:
            raise
        except (Exception, SystemExit) as error:
            raise self._unusable(kind, name, error) from error

    def _unusable(self, kind: Kind, name: str, error: BaseException) -> PluginError:
        plugin = self._owners[kind, name]
        assert plugin is not None
        label = f"{WORDS[kind]} {name!r} of plugin {plugin.distribution} {plugin.version}"
        mend = ""
        if isinstance(error, ImportError):  # often a half of it, or what it needs, is gone
            mend = f"; try: {remedy_for(error, plugin.distribution)}"
        return PluginError(f"{label} can't be used: {reason(error)}{mend}")

    def why_missing(self, kind: Kind, name: str, others: Iterable[str] = ()) -> str:
        """Why nothing provides the name, and the way out; ``others`` could have been meant too."""
        if (kind, name) in self._clashes:
            return self._clashes[kind, name]
        missing = f"there is no {WORDS[kind]} {name!r}"
        home = HOMES[kind].get(name, f"callsmith-{canonical(name)}")
        for broken in self.broken:
            if canonical(broken.distribution) == home:
                version = f"{broken.distribution} {broken.version}"
                why = f"since plugin {version} is broken: {broken.reason}"
                return f"{missing}, {why}; try: {broken.remedy}"
        for disabled in self.disabled:
            if canonical(disabled.distribution) == home:
                return f"{missing}, since CALLSMITH_DISABLE disables {disabled.distribution}"
        installed = {canonical(plugin.distribution) for plugin in self.plugins}
        if name in HOMES[kind] and home not in installed:
            return f"{missing} here: install it with: pip install {home}"
        return f"{missing}; {nearest_of(name, [*others, *self.names(kind)])}"


@cache
def load_registry() -> Registry:
    """The registry of what is installed here; plugins named in CALLSMITH_DISABLE are left out."""
    disable = [name for name in os.environ.get("CALLSMITH_DISABLE", "").split(",") if name.strip()]
    # All that is made while plugins are loaded stays: looking for garbage meanwhile finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return Registry(discover(metadata.distributions(), __version__, disable))
    finally:
        if collecting:
            gc.enable()


def _told_apart(function: Function, ref: FunctionRef) -> str:
    """Its qualified name; of an opened pack the address as well, since it may be open twice."""
    opened = isinstance(ref, str) and ref.startswith(f"{function.pack}:")
    return f"{function.qualified_name} of {ref!r}" if opened else function.qualified_name


def _checked_pack(label: str, pack: Any) -> FunctionPack:
    from callsmith.functions import FunctionPack

    if hasattr(pack, "get_tools"):
        pack = FunctionPack(type(pack).__name__, [pack])
    if not isinstance(pack, FunctionPack):
        raise PluginError(f"function pack {label} is a {type(pack).__name__}: {pack!r:.80}")
    return pack


def _owner(kind: Kind, name: str, plugins: list[Plugin]) -> Plugin | None:
    if len(plugins) == 1:
        return plugins[0]
    for rightful in ("callsmith", HOMES[kind].get(name), f"callsmith-{canonical(name)}"):
        theirs = [p for p in plugins if canonical(p.distribution) == rightful]
        if len(theirs) == 1:
            return theirs[0]
    return None


def _describe_clash(kind: Kind, name: str, plugins: list[Plugin], owner: Plugin | None) -> str:
    claimants = " and ".join(f"{plugin.distribution} ({plugin.name})" for plugin in plugins)
    outcome = f"{owner.distribution} keeps it" if owner else "neither has it"
    way_out = "" if owner else "; uninstall one, or name it in CALLSMITH_DISABLE"
    return f"{WORDS[kind]} {name!r} is claimed by {claimants}: {outcome}{way_out}"


def _check_kind(kind: Kind, found: object) -> None:
    """Raise PluginError for what can't be of that kind, before anybody trips over it."""
    if kind == "functions":
        from callsmith.functions import AddressedPack, FunctionPack

        fits = isinstance(found, FunctionPack | AddressedPack) or hasattr(found, "get_tools")
        wanted = "a FunctionPack"
    elif kind == "commands":
        import click

        fits, wanted = isinstance(found, click.Command), "a click command"
    else:
        fits, wanted = callable(found), "a class or function that makes one"
    if not fits:
        raise PluginError(f"it is {found!r:.80}, not {wanted}")
