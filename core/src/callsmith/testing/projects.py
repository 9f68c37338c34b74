"""Finding the pack that is to be checked: an installed one, a project's folder, a file."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from callsmith import __version__
from callsmith.discovery import GROUP, Plugin, discover
from callsmith.errors import DataError, PluginError, describe
from callsmith.functionfiles import load_functions
from callsmith.functions import Function, FunctionPack
from callsmith.plugins import Registry, load_registry


@dataclass(frozen=True)
class FoundPack:
    """A pack, and where it comes from.

    ``plugin`` is the one that provides it, if one does; ``registry`` knows it and all that is
    installed; ``modules``, or the file, are imported to list its functions.
    """

    name: str
    functions: Mapping[str, Function]
    registry: Registry
    plugin: Plugin | None
    modules: tuple[str, ...]


@contextmanager
def find_pack(pack: FunctionPack | str | Path) -> Iterator[FoundPack]:
    """The pack of this name or at this path; a project's folder is on the import path meanwhile.

    Raises PluginError if there is none, or it can't be used.
    """
    if isinstance(pack, FunctionPack):
        functions = pack.named("")
        if len(functions) < len(pack.functions):
            raise PluginError("the pack has two functions of one name")
        yield FoundPack("", functions, load_registry(), None, _modules(functions))
    elif isinstance(pack, str) and pack in load_registry().names("functions"):
        registry = load_registry()
        yield _of_plugin(pack, registry, registry)
    elif Path(pack).is_dir():
        with _on_path(*_roots(Path(pack))):
            yield _of_folder(Path(pack))
    elif Path(pack).is_file():
        yield _of_file(Path(pack))
    else:
        raise PluginError(load_registry().why_missing("functions", str(pack)))


def _of_plugin(name: str, own: Registry, everything: Registry) -> FoundPack:
    plugin = next(p for p in own.plugins if name in p.targets["functions"])
    functions = own.pack(name)
    target = plugin.targets["functions"][name].partition(":")[0]
    return FoundPack(name, functions, everything, plugin, (target,))


def _of_folder(folder: Path) -> FoundPack:
    project = _FolderDistribution(folder)
    own = Registry(discover([project], __version__))
    for broken in own.broken:
        raise PluginError(f"plugin {broken.distribution} {broken.version}: {broken.reason}")
    names = own.names("functions")
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise PluginError(f"{folder} should provide one function pack, and provides {listed}")
    everything = Registry(discover([project, *metadata.distributions()], __version__))
    return _of_plugin(names[0], own, everything)


def _of_file(file: Path) -> FoundPack:
    try:
        functions = load_functions(file)
    except DataError as error:
        raise PluginError(str(error)) from error
    return FoundPack(file.stem, functions, load_registry(), None, (str(file.absolute()),))


def _modules(functions: Mapping[str, Function]) -> tuple[str, ...]:
    names = {getattr(function.target, "__module__", "") for function in functions.values()}
    return tuple(sorted(names - {"", "__main__"}))


def _roots(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in (folder / "src", folder) if path.is_dir())


@contextmanager
def _on_path(*folders: Path) -> Iterator[None]:
    before = sys.path[:]
    sys.path[:0] = [str(folder.absolute()) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


class _FolderDistribution(metadata.Distribution):
    """A project that need not be installed: its pyproject.toml, read as a distribution's metadata.

    Raises PluginError if there is none that names a plugin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        file = folder / "pyproject.toml"
        try:
            self._project: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))["project"]
            self._points: dict[str, str] = self._project["entry-points"][GROUP]
        except (OSError, ValueError, KeyError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else describe(error)
            raise PluginError(
                f"{file} names no plugin under [project.entry-points.{GROUP}]: {reason}"
            ) from error

    def read_text(self, filename: str) -> str | None:
        if filename == "entry_points.txt":
            lines = [f"{name} = {value}" for name, value in self._points.items()]
            return "\n".join([f"[{GROUP}]", *lines])
        if filename == "METADATA":
            name, version = self._project.get("name", ""), self._project.get("version", "0")
            requires = [f"Requires-Dist: {one}" for one in self._project.get("dependencies", ())]
            return "\n".join([f"Name: {name}", f"Version: {version}", *requires, ""])
        return None

    def locate_file(self, path: Any) -> Path:
        return self._folder.joinpath(path)
