"""Functions and tasks about logic, for callsmith.

`entails` says whether a conclusion follows from premises: "True", "False" or "Unknown". `parse`
reads a formula as people write it, and `show` writes one. What they refuse is a `LogicError`, whose
message says in one sentence what is wrong.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith_logic.errors import (
        ContradictoryPremises,
        FormulaError,
        LogicError,
        SolverTimeout,
        StepError,
    )
    from callsmith_logic.firstorder import entails
    from callsmith_logic.grammar import parse
    from callsmith_logic.printing import show

__all__ = [
    "ContradictoryPremises",
    "FormulaError",
    "LogicError",
    "SolverTimeout",
    "StepError",
    "entails",
    "parse",
    "show",
]

_HOMES = {
    "ContradictoryPremises": "errors",
    "FormulaError": "errors",
    "LogicError": "errors",
    "SolverTimeout": "errors",
    "StepError": "errors",
    "entails": "firstorder",
    "parse": "grammar",
    "show": "printing",
}


def __getattr__(name: str) -> Any:
    # PEP 562: callsmith imports this package only to find the plugin, which must cost nothing.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
