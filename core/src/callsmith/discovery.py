"""Finding the installed plugins and loading each by itself.

Whatever a plugin does wrong while it is loaded becomes a BrokenPlugin, and the others never feel
it: entry points are loaded one by one, hooks are called plugin by plugin, and what is printed
meanwhile goes to the standard error. A plugin that hangs on import, or ends the process by other
means than an exception, is not covered.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint
from typing import Any, Literal, TypeAlias, get_args

from pluggy import HookimplOpts, HookspecOpts, PluginManager

from callsmith import hookspecs
from callsmith.errors import PluginError

GROUP = "callsmith"

Kind: TypeAlias = Literal[
    "functions", "tasks", "backends", "trainers", "executors", "commands", "recipes"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

SLOW = 0.25
"""Seconds that loading a plugin may take: it is paid by every command, ``--help`` too."""


@dataclass(frozen=True)
class Plugin:
    """A plugin that loaded.

    ``targets`` maps names to ``"module:attribute"`` for each kind; ``seconds`` is what loading it
    took; ``manager`` calls its hooks, and nobody else's.
    """

    name: str
    distribution: str
    version: str
    targets: Mapping[Kind, Mapping[str, str]]
    seconds: float
    manager: PluginManager = field(repr=False, compare=False)

    @property
    def provides(self) -> dict[Kind, list[str]]:
        """The names it claims, by kind; kinds without any are left out."""
        return {kind: sorted(names) for kind, names in self.targets.items() if names}

    @property
    def slow(self) -> bool:
        """Whether loading it took so long that it should be named."""
        return self.seconds >= SLOW


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be loaded, why, and what mends it."""

    name: str
    distribution: str
    version: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class DisabledPlugin:
    """A plugin that is installed, but was not imported, because CALLSMITH_DISABLE names it."""

    name: str
    distribution: str
    version: str


@dataclass
class Found:
    """All that is installed, in the order of the import path, the built-in parts first."""

    plugins: list[Plugin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    disabled: list[DisabledPlugin] = field(default_factory=list)


def discover(
    distributions: Iterable[Distribution], version: str, disable: Collection[str] = ()
) -> Found:
    """Load the built-in parts and the plugins of ``distributions``.

    ``version`` is callsmith's own, which the plugins' requirements are held against; ``disable``
    lists names of plugins or distributions. Both are decided on metadata, before any import.
    """
    builtin = EntryPoint("builtin", "callsmith.builtin", GROUP)
    found = Found([_load(builtin, "callsmith", version)])
    unwanted = {canonical(name.strip()) for name in disable}
    seen = set()
    for distribution in distributions:
        section = _read_section(distribution)
        if not section:
            continue
        folder = f"{distribution.locate_file('')}"
        label, its_version = f"a distribution in {folder}", ""
        try:
            header = _read_header(distribution)
            label, its_version = _read_name(header, section)
            points = _entry_points(section)
            why_not = _unmet_requirement(header.get("Requires-Dist", ()), version)
        except Exception as error:
            remedy = f"install it again, or delete what is left of it in {folder}"
            found.broken.append(BrokenPlugin("", label, its_version, reason(error), remedy))
            continue
        # As with imports, the first of two copies on the path is the one that counts.
        if canonical(label) in seen:
            continue
        seen.add(canonical(label))
        for point in points:
            if unwanted & {canonical(label), canonical(point.name)}:
                found.disabled.append(DisabledPlugin(point.name, label, its_version))
                continue
            remedy = f"pip install --upgrade callsmith {label}"
            wrong = why_not
            if not wrong:
                try:
                    found.plugins.append(_load(point, label, its_version))
                    continue
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    wrong, remedy = reason(error), remedy_for(error, label)
            remedy += f", or leave it out: CALLSMITH_DISABLE={label}"
            found.broken.append(BrokenPlugin(point.name, label, its_version, wrong, remedy))
    return found


def reason(error: BaseException) -> str:
    """An exception of somebody else's code in one line, even if it can't say what it is."""
    try:
        message = " ".join(str(error).split())[:300]
    except Exception:
        message = ""
    if isinstance(error, PluginError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def remedy_for(error: BaseException, distribution: str) -> str:
    """The command that mends a plugin: what is missing comes back, what is wrong may be newer."""
    how = "--force-reinstall" if isinstance(error, ImportError) else "--upgrade"
    return f"pip install {how} {distribution}"


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """Sends to the standard error what is printed meanwhile, by C code and children too.

    A program that reads our output must not find a plugin's greeting in it.
    """
    try:
        sys.stdout.flush()
        original, target = sys.stdout.fileno(), sys.stderr.fileno()
        saved = os.dup(original)
    except (OSError, ValueError, AttributeError):  # a notebook, a test: no files of their own
        with redirect_stdout(sys.stderr):
            yield
        return
    try:
        os.dup2(target, original)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, original)
        os.close(saved)


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_section(distribution: Distribution) -> str:
    """What a distribution declares for us; empty for most, and that is all that they cost."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except Exception:
        return ""
    return text.partition(f"[{GROUP}]")[2].partition("\n[")[0].strip()


def _entry_points(section: str) -> list[EntryPoint]:
    points = []
    for line in section.splitlines():
        name, equals, value = line.partition("=")
        if not equals:
            raise PluginError(f"its entry points have a line {line!r:.80}, not NAME = MODULE")
        points.append(EntryPoint(name.strip(), value.strip(), GROUP))
    return points


def _read_header(distribution: Distribution) -> dict[str, list[str]]:
    """The fields of the metadata. The library's way, an e-mail parser, takes longer than the rest
    of loading a plugin."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    fields: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key, []).append(value.strip())
    return fields


def _read_name(header: Mapping[str, list[str]], section: str) -> tuple[str, str]:
    name, version = header.get("Name", [""])[0], header.get("Version", [""])[0]
    if not name or not version:
        names = ", ".join(line.partition("=")[0].strip() for line in section.splitlines())
        raise PluginError(f"it brings {names}, but its metadata lacks a name or a version")
    return name, version


_REQUIREMENT = re.compile(r"([\w.-]+)\s*\(?((?:(?:>=|<)\d+(?:\.\d+)*(?:\s*,\s*|\)?$))*)")


def _unmet_requirement(requirements: Iterable[str], version: str) -> str:
    for text in requirements:
        if not text.lower().startswith("callsmith"):
            continue
        simple = _REQUIREMENT.match(text)
        bounds = simple[2] if simple and simple.end() == len(text) else ""
        if bounds and re.fullmatch(r"[\d.]+", version):
            # As nearly everybody writes it; to import packaging costs what ten plugins do.
            ours = _release(version)
            for sign, bound in re.findall(r"(>=|<)([\d.]+)", bounds):
                if (ours >= _release(bound)) != (sign == ">="):
                    break
            else:
                continue
        from packaging.requirements import Requirement

        requirement = Requirement(text)
        if canonical(requirement.name) != "callsmith":
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return f"it needs callsmith{requirement.specifier}, and this is callsmith {version}"
    return ""


def _release(version: str) -> tuple[int, ...]:
    """0.1.0 as (0, 1): what is compared of a version that is numbers and dots."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


class _Manager(PluginManager):
    """Calls the hooks of one plugin: so no hook wrapper ever touches what another plugin says.

    pluggy looks at every name of a module and makes every hook; here it is told which it needs.
    """

    def __init__(self, plugin: object, name: str) -> None:
        super().__init__(GROUP)
        self._needed = {"callsmith_on_chain", *dir(plugin)}
        self.add_hookspecs(hookspecs)
        self.register(plugin, name)
        self.check_pending()

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> HookspecOpts | None:
        needed = name in self._needed and name.startswith("callsmith_")
        return super().parse_hookspec_opts(module_or_class, name) if needed else None

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> HookimplOpts | None:
        ours = name.startswith("callsmith_")
        return super().parse_hookimpl_opts(plugin, name) if ours else None


def _load(point: EntryPoint, distribution: str, version: str) -> Plugin:
    started = time.perf_counter()
    with quiet_stdout():
        manager = _Manager(point.load(), point.name)
        targets = {kind: _call_hook(manager, kind) for kind in KINDS}
    seconds = time.perf_counter() - started
    return Plugin(point.name, distribution, version, targets, seconds, manager)


def _call_hook(manager: PluginManager, kind: Kind) -> dict[str, str]:
    hook = getattr(manager.hook, f"callsmith_{kind}", None)
    if hook is None or not hook.get_hookimpls():
        return {}
    # One plugin has one implementation of a hook; pluggy leaves out what is None.
    (names,) = hook() or [None]
    if not isinstance(names, Mapping):
        raise PluginError(
            f"{hook.name} gave {names!r:.80}, not a mapping of names to 'module:attribute'"
        )
    for name, target in names.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
            raise PluginError(f"{hook.name} gave {name!r:.80} as a name: letters, digits, _ . -")
        if not isinstance(target, str) or not re.fullmatch(r"[\w.]+:\S+", target):
            raise PluginError(f"{hook.name} gave {target!r:.80} for {name!r}: 'module:attribute'")
    return dict(names)
