"""What this plugin provides. Nothing named here is imported before it is used."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_functions() -> dict[str, str]:
    return {"math": "callsmith_math.functions:pack"}


@hookimpl
def callsmith_tasks() -> dict[str, str]:
    return {
        "wordproblems": "callsmith_math.wordproblems:WordProblems",
        "gsm8k": "callsmith_math.gsm8k:GSM8K",
    }


@hookimpl
def callsmith_backends() -> dict[str, str]:
    return {"gsm8k-solutions": "callsmith_math.gsm8k:open_solutions"}
