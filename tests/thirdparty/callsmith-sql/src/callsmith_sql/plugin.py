"""What this package gives to callsmith. Nothing of it is imported before somebody uses it."""

from callsmith.hookspecs import Targets, hookimpl


@hookimpl
def callsmith_functions() -> Targets:
    return {"sql": "callsmith_sql.pack:pack"}


@hookimpl
def callsmith_tasks() -> Targets:
    return {"sql": "callsmith_sql.task:PackTask"}
