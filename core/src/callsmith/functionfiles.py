"""Functions in a plain Python file: no package is needed to begin.

The file is imported by its path, in the worker processes too, under a name made of what it says:
so it can be called anything, and a file that was changed is another module. What stands beside it
can be imported from it, if nothing that is installed has that name.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from callsmith.errors import DataError, PluginError, describe
from callsmith.functions import Function, FunctionPack

PREFIX = "callsmith_files."
"""What the names of modules from files begin with."""


def load_functions(path: str | Path) -> dict[str, Function]:
    """The functions of a file by name: those marked ``@function``, and LangChain tools.

    Where there are none of either, every public function that is written in the file is one.
    Raises DataError for a file that can't be read or imported, or that has none, and PluginError
    for a function that can't be offered to a model.
    """
    path = Path(path)
    module = import_file(path)
    parts = find_parts(module)
    if not parts:
        raise DataError(
            f"{path} has no functions: write a typed one with a docstring, such as "
            'def double(n: float) -> float: """Double n."""'
        )
    try:
        functions = FunctionPack("", list(parts.values())).named(path.stem)
    except PluginError as error:
        raise PluginError(
            f"{path}: {error} (or begin its name with _ if no model shall call it)"
        ) from error
    source = module.__name__.rpartition("_")[2]
    return {name: replace(function, source=source) for name, function in functions.items()}


def find_parts(module: ModuleType) -> dict[str, Any]:
    """What a module has for a pack, by the names that it goes by there."""
    everything = vars(module).items()
    marked = {name: value for name, value in everything if _is_marked(value, module)}
    return marked or {
        name: value
        for name, value in everything
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def import_file(path: Path, expected: str = "") -> ModuleType:
    """Import a file once, until it says something else.

    Raises DataError if it can't be read or imported, or is no longer the module ``expected``.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from error
    name = f"{PREFIX}{path.stem}_{hashlib.sha256(source).hexdigest()[:16]}"
    if expected and name != expected:
        raise DataError(f"{path} was changed after it was first read")
    if name in sys.modules:
        return sys.modules[name]
    if (folder := str(path.parent.absolute())) not in sys.path:
        # At the end, where a file called statistics.py keeps nobody from the real one.
        sys.path.append(folder)
    spec = spec_from_loader(name, _Source(path.absolute(), source))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _unusable(path, error) from error
    return module


class _Source(SourceLoader):
    """Gives what was read, so that it is what is run; and leaves no compiled file beside it."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = str(path), source

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._path:
            raise FileNotFoundError(path)
        return self._source


def _is_marked(value: object, module: ModuleType) -> bool:
    if isinstance(value, Function):
        return getattr(value.target, "__module__", "") == module.__name__
    return not inspect.isclass(value) and (
        hasattr(value, "tool_call_schema") or hasattr(value, "get_tools")
    )


def _unusable(path: Path, error: BaseException) -> DataError | PluginError:
    if isinstance(error, SyntaxError) and error.filename == str(path.absolute()):
        return DataError(f"{path}, line {error.lineno}: {error.msg}")
    lines = list(_lines(path, error))
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    if isinstance(error, PluginError):
        return PluginError(f"{where}: {error}")
    return DataError(f"{where}: it can't be imported: {type(error).__name__}: {describe(error)}")


def _lines(path: Path, error: BaseException) -> Iterator[int]:
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path.absolute()) and frame.lineno:
            yield frame.lineno
