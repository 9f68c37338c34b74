"""``callsmith new-pack``: a package of functions of one's own, complete, made of template files.

The templates are real files under ``templates/``, of a package called ``callsmith_packname``:
``pack`` is whole by itself; what stands in ``task``, ``problems`` and ``file`` takes the place of
files in it. What begins with ``dot-`` there begins with a dot in the package.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from callsmith.discovery import canonical
from callsmith.errors import DataError
from callsmith.functionfiles import find_parts, import_file, load_functions
from callsmith.jsonl import AnswerKind, JsonlTask
from callsmith.plugins import HOMES, Registry

LONGEST = 40
FUNCTIONS = "[functions.price, functions.total]"
DEPENDENCIES = '["callsmith>=0.1,<0.2", "pydantic>=2.9"]'
HERE = "src/callsmith_packname"


@dataclass(frozen=True)
class NewPack:
    """A package that was made: its files, and what its author still has to do, in sentences."""

    folder: Path
    distribution: str
    files: tuple[str, ...]
    owed: tuple[str, ...]


def new_pack(
    name: str,
    registry: Registry,
    *,
    parent: Path = Path(),
    with_task: bool = False,
    functions: Path | None = None,
    problems: Path | None = None,
    answer: AnswerKind = "number",
) -> NewPack:
    """Make the package ``callsmith-NAME`` in the folder NAME of ``parent``.

    It has two worked functions, or those of the file ``functions``; and with ``with_task`` a task
    for them, or one of the file ``problems``, whose answers are compared as ``answer`` says.
    Raises DataError, with nothing made, for a name that can't be or is taken, a folder that is
    there already, or a file that can't be used.
    """
    _check_name(name, registry, with_task or problems is not None)
    folder = parent / name
    if folder.exists():
        raise DataError(f"{folder} is there already: choose another name, or take it away first")
    if with_task and functions and not problems:
        raise DataError(
            "the task of the template is for the template's own functions: give the problems for "
            "yours with --problems FILE"
        )
    files = _read_template("pack")
    if with_task or problems:
        files |= _read_template("task")
    owed: list[str] = []
    if functions:
        files |= _read_template("file")
        owed += _put_functions(files, functions)
    if problems:
        JsonlTask(problems, answer)
        files |= _read_template("problems")
        files[f"{HERE}/problems.jsonl"] = problems.read_text(encoding="utf-8-sig")
        task = files[f"{HERE}/task.py"]
        files[f"{HERE}/task.py"] = task.replace('"number"', f'"{answer}"')
    package = canonical(f"callsmith-{name}")
    words = {
        "callsmith-packname": package,
        "callsmith_packname": package.replace("-", "_"),
        "packname": name,
    }
    own = {f"{HERE}/functions.py"} if functions else set()
    made = {
        _fill(path, words): text if path in own or path.endswith(".jsonl") else _fill(text, words)
        for path, text in files.items()
    }
    _write(folder, made)
    return NewPack(folder, package, tuple(sorted(made)), tuple(owed))


def _check_name(name: str, registry: Registry, with_task: bool) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) or len(name) > LONGEST:
        meant = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
        instead = f": {meant}, say" if meant else ""
        raise DataError(
            f"{name!r} is no name for a pack: small letters, digits, - and _, at most {LONGEST}, "
            f"a letter first{instead}"
        )
    if canonical(name).startswith("callsmith"):
        raise DataError(
            f"the package is called callsmith-NAME by itself: say {name[9:].strip('-_') or 'shop'}"
        )
    for kind in ("functions", "tasks") if with_task else ("functions",):
        for taken in registry.names(kind):
            if canonical(taken) == canonical(name):
                word = "function pack" if kind == "functions" else "task"
                raise DataError(f"there is a {word} {taken!r} here already: choose another name")
    ours = {home for homes in HOMES.values() for home in homes.values()}
    installed = {plugin.distribution for plugin in registry.plugins}
    installed |= {plugin.distribution for plugin in registry.broken}
    package = canonical(f"callsmith-{name}")
    if package in ours | {canonical(distribution) for distribution in installed}:
        raise DataError(f"there is a plugin {package} already: choose another name")


def _read_template(name: str) -> dict[str, str]:
    root = resources.files("callsmith") / "templates" / name
    return {
        path.replace("dot-", "."): file.read_text(encoding="utf-8") for path, file in _walk(root)
    }


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        # An installer compiles what ends in .py; that is no part of a template.
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield f"{prefix}{entry.name}", entry


def _put_functions(files: dict[str, str], path: Path) -> Iterator[str]:
    """Put the file's functions in the place of the worked ones; gives what they still lack."""
    functions = load_functions(path)
    text = path.read_text(encoding="utf-8")
    needed = ["callsmith>=0.1,<0.2", *_needed(path, text)]
    names = [f"functions.{name}" for name in find_parts(import_file(path))]
    listed = f"[{', '.join(names)}]"
    if len(listed) > 50:
        listed = "[\n" + "".join(f"        {name},\n" for name in names) + "    ]"
    files[f"{HERE}/functions.py"] = text
    files[f"{HERE}/pack.py"] = files[f"{HERE}/pack.py"].replace(FUNCTIONS, listed)
    files["pyproject.toml"] = files["pyproject.toml"].replace(
        DEPENDENCIES, "[" + ", ".join(f'"{one}"' for one in needed) + "]"
    )
    bare = [function.name for function in functions.values() if not function.examples]
    if bare:
        yield (
            f"{', '.join(bare)}: no example yet, and the tests ask for one of each: write "
            "@function(examples=[{…}]) above it"
        )


def _needed(path: Path, text: str) -> Iterator[str]:
    """What the file's imports come from, as requirements. Raises DataError for a neighbour."""
    modules: dict[str, None] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules[node.module.partition(".")[0]] = None
    distributions = metadata.packages_distributions()
    for module in modules:
        if module in sys.stdlib_module_names or module == "callsmith":
            continue
        if (path.parent / f"{module}.py").exists() or (path.parent / module).is_dir():
            raise DataError(
                f"{path} imports {module} from beside it, which the package would lack: put what "
                "it needs into the one file first"
            )
        for distribution in distributions.get(module, [])[:1]:
            yield f"{distribution}>={metadata.version(distribution)}"


def _fill(text: str, words: dict[str, str]) -> str:
    for word, instead in words.items():
        text = text.replace(word, instead)
    return text


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
