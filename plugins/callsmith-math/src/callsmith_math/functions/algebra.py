"""Algebra with sympy, in a worker process: nothing else could stop what takes too long."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from callsmith.functions import function
from callsmith_math import symbolic

Shown: TypeAlias = float | str
"""A number where one can be written exactly, else text such as 1/3, sqrt(2) or x^2 + 1."""


@function(examples=[{"expression": "(x^2 - 1)/(x - 1)"}], timeout=symbolic.TIMEOUT)
def simplify(expression: str) -> Shown:
    """Write an expression as simply as possible."""
    import sympy

    return symbolic.show(sympy.simplify(symbolic.read(expression)))


@function(examples=[{"expression": "(x + 1)(x - 2)"}], timeout=symbolic.TIMEOUT)
def expand(expression: str) -> Shown:
    """Multiply out all brackets of an expression."""
    import sympy

    return symbolic.show(sympy.expand(symbolic.read(expression)))


@function(examples=[{"expression": "x^2 - 5x + 6"}], timeout=symbolic.TIMEOUT)
def factor(expression: str) -> Shown:
    """Write an expression as a product of factors."""
    import sympy

    return symbolic.show(sympy.factor(symbolic.read(expression)))


@function(
    examples=[{"expression": "x^2 + y", "values": {"x": 3, "y": "1/2"}}], timeout=symbolic.TIMEOUT
)
def substitute(expression: str, values: dict[str, float | str]) -> Shown:
    """Put values, which may be expressions, in the place of variables, and simplify."""
    import sympy

    return symbolic.show(sympy.simplify(symbolic.read(expression, values)))


@function(
    examples=[
        {"equation": "2x + 3 = 11", "variable": "x"},
        {"equation": "x^2 = 2", "variable": "x"},
    ],
    timeout=symbolic.TIMEOUT,
)
def solve(equation: str, variable: str) -> list[Shown]:
    """Solve an equation for a variable. Gives a list of the real solutions, empty if none.

    Of a periodic equation, such as sin(x) = 0, only the solutions of one period are given.
    """
    return [symbolic.show(solution) for solution in symbolic.solve(equation, variable)]


@function(
    examples=[{"equations": ["x + y = 10", "x - y = 2"], "variables": ["x", "y"]}],
    timeout=symbolic.TIMEOUT,
)
def solve_system(
    equations: Annotated[list[str], Field(min_length=1, max_length=10)],
    variables: Annotated[list[str], Field(min_length=1, max_length=10)],
) -> list[dict[str, Shown]]:
    """Solve several equations together. Gives a list of solutions, a value for each variable."""
    return [
        {name: symbolic.show(value) for name, value in solution.items()}
        for solution in symbolic.solve_system(equations, variables)
    ]
