"""What this plugin provides: packs named ``mcp:ADDRESS``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_functions() -> dict[str, str]:
    return {"mcp": "callsmith_mcp.pack:pack"}
