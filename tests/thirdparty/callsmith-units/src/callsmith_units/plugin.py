"""What this package gives to callsmith. Nothing of it is imported before somebody uses it."""

from callsmith.hookspecs import Targets, hookimpl


@hookimpl
def callsmith_functions() -> Targets:
    return {"units": "callsmith_units.pack:pack"}
