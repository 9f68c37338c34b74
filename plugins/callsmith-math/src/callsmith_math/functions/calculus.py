"""Derivatives and integrals with sympy, in a worker process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callsmith.functions import function
from callsmith_math import symbolic
from callsmith_math.functions.algebra import Shown


@function(examples=[{"expression": "x^3 + 2x", "variable": "x"}], timeout=symbolic.TIMEOUT)
def differentiate(
    expression: str, variable: str, order: Annotated[int, Field(ge=1, le=10)] = 1
) -> Shown:
    """Give the derivative of an expression with respect to a variable; order=2 for the second."""
    import sympy

    derivative = sympy.diff(symbolic.read(expression), symbolic.symbol(variable), int(order))
    return symbolic.show(sympy.simplify(derivative))


@function(
    examples=[
        {"expression": "2x + 1", "variable": "x"},
        {"expression": "x^2", "variable": "x", "lower": 0, "upper": 3},
    ],
    timeout=symbolic.TIMEOUT,
)
def integrate(
    expression: str,
    variable: str,
    lower: float | str | None = None,
    upper: float | str | None = None,
) -> Shown:
    """Integrate an expression: from lower to upper if both are given, else without a constant."""
    if (lower is None) != (upper is None):
        raise ValueError("a definite integral needs both lower and upper")
    bounds = () if lower is None or upper is None else (lower, upper)
    return symbolic.show(symbolic.integrate(expression, variable, bounds))
