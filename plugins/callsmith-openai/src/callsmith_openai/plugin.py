"""What this plugin provides: the scheme ``openai:``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"openai": "callsmith_openai.backend:open_backend"}
