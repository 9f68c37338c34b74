"""What this package gives to callsmith. Nothing of it is imported before somebody uses it."""

from callsmith.hookspecs import Targets, hookimpl


@hookimpl
def callsmith_functions() -> Targets:
    return {"cards": "callsmith_cards.pack:pack"}


@hookimpl
def callsmith_tasks() -> Targets:
    return {"cards": "callsmith_cards.task:PackTask"}
