"""Functions and tasks about numbers, for callsmith.

`evaluate` gives the value of an arithmetic expression, exactly and without ever executing it.
`plan` gives the function calls that compute it step by step. Both refuse a text with
`ExpressionError`, which says in one sentence what is wrong with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith_math.arithmetic import evaluate
    from callsmith_math.errors import ExpressionError
    from callsmith_math.plans import plan

__all__ = ["ExpressionError", "evaluate", "plan"]

_HOMES = {"ExpressionError": "errors", "evaluate": "arithmetic", "plan": "plans"}


def __getattr__(name: str) -> Any:
    # PEP 562: callsmith imports this package only to find the plugin, which must cost nothing.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
