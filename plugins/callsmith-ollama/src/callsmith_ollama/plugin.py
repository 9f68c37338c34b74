"""What this plugin provides: the scheme ``ollama:``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"ollama": "callsmith_ollama.backend:open_backend"}
