"""The parts of callsmith itself that have names, registered through the hooks like any plugin's."""

from __future__ import annotations

from callsmith.hookspecs import Targets, hookimpl


@hookimpl
def callsmith_tasks() -> Targets:
    return {"jsonl": "callsmith.jsonl:JsonlTask"}


@hookimpl
def callsmith_backends() -> Targets:
    return {
        "reference": "callsmith.backends:open_reference",
        "langchain": "callsmith.langchain:open_backend",
    }


@hookimpl
def callsmith_executors() -> Targets:
    return {"local": "callsmith.executors:LocalExecutor"}
