"""Functions that verify an intermediate or final result instead of computing one."""

from __future__ import annotations

from callsmith.functions import function
from callsmith_math import arithmetic, symbolic


@function(role="verify", examples=[{"expression": "48 + 48/2", "value": 72}], inline=True)
def check(expression: str, value: float | str) -> bool:
    """Check a result: say whether an expression of numbers has that value."""
    return arithmetic.close(arithmetic.quantity(expression), arithmetic.quantity(value))


@function(role="verify", examples=[{"equation": "2x + 3 = 11", "values": {"x": 4}}], inline=True)
def check_solution(equation: str, values: dict[str, float | str]) -> bool:
    """Check a solution: say whether an equation holds with these values for its variables."""
    return arithmetic.holds(equation, values)


@function(
    role="verify", examples=[{"a": "(x + 1)^2", "b": "x^2 + 2x + 1"}], timeout=symbolic.TIMEOUT
)
def check_equal(a: str, b: str) -> bool:
    """Check a transformation: say whether two expressions are equal for all their variables."""
    return symbolic.equal(a, b)
