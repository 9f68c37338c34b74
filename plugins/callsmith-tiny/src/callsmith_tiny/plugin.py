"""What this plugin provides. Nothing named here is imported before it is used."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"tiny": "callsmith_tiny.backend:open_backend"}


@hookimpl
def callsmith_recipes() -> dict[str, str]:
    return {
        "tiny": "callsmith_tiny:recipes/tiny.toml",
        "tiny-logic": "callsmith_tiny:recipes/tiny-logic.toml",
    }
