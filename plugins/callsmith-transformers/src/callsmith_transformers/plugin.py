"""What this plugin provides: the scheme ``hf:``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"hf": "callsmith_transformers.backend:open_backend"}
