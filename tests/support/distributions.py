"""Distributions on disk, as pip leaves them: a .dist-info folder and a module."""

from __future__ import annotations

import textwrap
from pathlib import Path

HOOK = """
from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_{kind}():
    return {names!r}
"""


def hook(kind: str, **names: str) -> str:
    """The code of a plugin that provides these names, each with its target."""
    return HOOK.format(kind=kind, names=names)


def install(
    folder: Path,
    name: str,
    code: str | None = "",
    requires: str = "callsmith>=0.1,<0.2",
    metadata: bool = True,
) -> None:
    """Put a distribution into ``folder``; without ``code`` its module is gone, without
    ``metadata`` only what registers it is left."""
    module = name.replace("-", "_")
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir(parents=True)
    if metadata:
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nRequires-Dist: {requires}\n"
        )
    (info / "entry_points.txt").write_text(f"[callsmith]\n{module} = {module}\n")
    if code is not None:
        (folder / f"{module}.py").write_text(textwrap.dedent(code))
