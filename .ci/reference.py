"""Writes ``docs/plugins.md`` from the hook specifications and what their targets are.

Run ``python .ci/reference.py`` after a change of ``hookspecs.py``; a test holds the page to it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from callsmith import hookspecs
from callsmith.backends import Backend
from callsmith.functions import AddressedPack, FunctionPack
from callsmith.tasks import Task
from callsmith.training import Trainer

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"

TYPES: tuple[type, ...] = (FunctionPack, AddressedPack, Task, Backend, Trainer)
"""What the hooks' targets are, or give."""


def hooks() -> list[Callable[..., Any]]:
    """The hook specifications, in the order of the file."""
    found = [h for h in vars(hookspecs).values() if hasattr(h, "callsmith_spec")]
    return sorted(found, key=lambda hook: hook.__code__.co_firstlineno)


def page() -> str:
    """The whole page."""
    parts = [
        "# Plugin reference",
        "<!-- Made by `python .ci/reference.py` from core/src/callsmith/hookspecs.py. -->",
        markdown(hookspecs.__doc__),
    ]
    for hook in hooks():
        parts += [f"## `{hook.__name__}`", markdown(hook.__doc__), example(hook)]
    parts += [
        "## What the targets are",
        "Each is imported from the module before its name. `callsmith.testing` has a kit that a "
        "backend must pass.",
    ]
    for kind in TYPES:
        parts += [f"### `{kind.__module__}.{kind.__name__}`", markdown(kind.__doc__), shape(kind)]
    return "\n\n".join(parts) + "\n"


def example(hook: Callable[..., Any]) -> str:
    name = hook.__name__
    if inspect.signature(hook).return_annotation == "Targets":
        target = "module:attribute" if name != "callsmith_recipes" else ":recipes/mine.toml"
        target = f"my_package.{target}".replace(".:", ":")
        returns, body = "dict[str, str]", f'return {{"mine": "{target}"}}'
    else:
        returns, body = "None", "..."
    given = ", ".join(str(p) for p in inspect.signature(hook).parameters.values())
    given = given.replace("'", "")
    line = f" {body}" if body == "..." else f"\n    {body}"
    return f"```python\n@hookimpl\ndef {name}({given}) -> {returns}:{line}\n```"


def shape(kind: type) -> str:
    """Its attributes and public methods, as code."""
    return "\n".join(["```python", f"class {kind.__name__}:", *members(kind), "```"])


def members(kind: type) -> Iterator[str]:
    given = [f.name for f in fields(kind)] if is_dataclass(kind) else list(kind.__annotations__)
    for name in given:
        yield f"    {name}: {kind.__annotations__[name]}".replace("'", '"')
    for name, member in vars(kind).items():
        if name.startswith("_") or name in given:
            continue
        if isinstance(member, property):
            yield f"    {name}: {inspect.signature(member.fget).return_annotation}"  # type: ignore[arg-type]
        elif isinstance(member, FunctionType):
            yield from method(name, member)


def method(name: str, member: FunctionType) -> Iterator[str]:
    signature = str(inspect.signature(member)).replace("'", "")
    if len(signature) > 80:
        given, _, returns = signature.rpartition(") -> ")
        words = re.split(r", (?=\w+: )", given.removeprefix("("))
        inner = "".join(f"        {word},\n" for word in words)
        signature = f"(\n{inner}    ) -> {returns}"
    word = "async def" if inspect.iscoroutinefunction(member) else "def"
    if not member.__doc__:
        yield f"\n    {word} {name}{signature}: ..."
        return
    lines = inspect.cleandoc(member.__doc__).splitlines()
    yield f"\n    {word} {name}{signature}:"
    yield "\n".join(f"        {line}".rstrip() for line in ['"""' + lines[0], *lines[1:]]) + (
        '"""' if len(lines) == 1 else '\n        """'
    )


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: ``code`` and indented blocks after ``::``."""
    paragraphs, language = [], ""
    for paragraph in inspect.cleandoc(docstring or "").split("\n\n"):
        if language and paragraph.startswith("    "):
            lines = "\n".join(line.removeprefix("    ") for line in paragraph.splitlines())
            paragraphs.append(f"```{language}\n{lines}\n```")
            language = ""
            continue
        if paragraph.endswith("::"):
            language, paragraph = "toml", paragraph[:-1]
        paragraphs.append(re.sub(r"``(.+?)``", r"`\1`", paragraph))
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
