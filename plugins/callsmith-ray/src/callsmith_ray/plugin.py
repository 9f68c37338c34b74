"""What this plugin provides: the executor ``ray``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_executors() -> dict[str, str]:
    return {"ray": "callsmith_ray.executor:RayExecutor"}
