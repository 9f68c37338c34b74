"""What this plugin provides: the scheme ``hf:``, and the command ``callsmith export-model``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"hf": "callsmith_transformers.backend:open_backend"}


@hookimpl
def callsmith_commands() -> dict[str, str]:
    return {"export-model": "callsmith_transformers.command:export_model_command"}
