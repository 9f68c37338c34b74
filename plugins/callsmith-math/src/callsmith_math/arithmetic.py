"""The value of an expression, by exact arithmetic and without sympy.

Fractions carry the four operations, whole powers and exact roots. What is irrational (a root of 2,
a sine, pi) is computed with 50 digits and from then on treated like any other number, so that
sqrt(2)^2 - 2 is 0. Everything is bounded: no expression takes more than some milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from callsmith_math import exact
from callsmith_math.errors import ExpressionError, explaining
from callsmith_math.expressions import (
    CONSTANTS,
    Name,
    Node,
    Number,
    parse,
    parse_equation,
    variable,
)

_DIGITS = 50
_NOISE = 1e-40
_TOLERANCE = Fraction(1, 10**9)
_MAX_VALUES = 20


def evaluate(text: str) -> int | float:
    """The value of an arithmetic expression: an int if it is whole, else a float of 12 digits.

    >>> evaluate("1,200 × 20% + .5")
    240.5
    >>> evaluate("0.1 + 0.2")
    0.3

    What can be written is in `callsmith_math.expressions`. Any text is answered within
    milliseconds; nothing in it is executed. Raises ExpressionError, a ValueError whose message is
    one sentence, for what is no expression, has a variable, or has no finite real value.
    """
    with explaining():
        return exact.number(_Valuation().of(parse(text)))


def fraction(text: str) -> Fraction:
    """The exact value of an expression. Raises ExpressionError, also if it is irrational."""
    valuation = _Valuation()
    with explaining():
        result = valuation.of(parse(text))
        exact.number(result)  # refuses what is too large to be shown
    if not valuation.exact:
        raise ExpressionError("the value is irrational, so it is no fraction: use evaluate")
    return result


def quantity(value: int | float | str) -> Fraction:
    """A number, or the value of an expression; irrational ones to 50 digits. Raises ValueError."""
    if isinstance(value, str):
        with explaining():
            return _Valuation().of(parse(value))
    return exact.exact(value)


def holds(equation: str, values: Mapping[str, int | float | str]) -> bool:
    """Whether an equation holds for these values of its variables. Raises ValueError."""
    if len(values) > _MAX_VALUES:
        raise ValueError(f"at most {_MAX_VALUES} values can be given")
    valuation = _Valuation({variable(name): quantity(value) for name, value in values.items()})
    left, right = parse_equation(equation)
    with explaining():
        return close(valuation.of(left), valuation.of(right))


def close(a: Fraction, b: Fraction) -> bool:
    """Whether two results are the same, but for digits that were cut off; integers differ by 1."""
    if a.denominator == b.denominator == 1:
        return a == b
    return abs(a - b) <= _TOLERANCE * max(Fraction(1), abs(a), abs(b))


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """``base`` to the ``exponent``, exact where it can be. Raises ValueError."""
    return _Valuation().power(base, exponent)


class _Valuation:
    """Values the nodes of one tree, and remembers whether all of them were exact."""

    def __init__(self, values: Mapping[str, Fraction] = MappingProxyType({})) -> None:
        self.values = values
        self.exact = True

    def of(self, node: Node) -> Fraction:
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Name):
            return self.name(node.name)
        if len(node.operands) == 2:
            left, right = node.operands
            return exact.bounded(self.binary(node.operator, self.of(left), self.of(right)))
        return exact.bounded(self.unary(node.operator, self.of(node.operands[0])))

    def name(self, name: str) -> Fraction:
        if name in CONSTANTS:
            return self.approximate(name)
        if name in self.values:
            return self.values[name]
        raise ExpressionError(f"{name[:30]} has no value here: put a number in its place")

    def binary(self, operator: str, left: Fraction, right: Fraction) -> Fraction:
        if operator == "*":
            return left * right
        if operator == "/":
            return exact.divide(left, right)
        if operator == "//":
            return Fraction(math.floor(exact.divide(left, right)))
        if operator == "^":
            return self.power(left, right)
        result = left + right if operator == "+" else left - right
        # Two approximations of one number differ by noise, however small the number.
        noise = not self.exact and abs(result) < Fraction(_NOISE) * max(abs(left), abs(right))
        return Fraction(0) if noise else result

    def unary(self, operator: str, operand: Fraction) -> Fraction:
        if operator in _EXACT:
            return _EXACT[operator](operand)
        if operator in _DEGREES:
            return self.power(operand, Fraction(1, _DEGREES[operator]))
        return self.approximate(operator, operand)

    def power(self, base: Fraction, exponent: Fraction) -> Fraction:
        result = exact.power(base, exponent)
        if result is not None:
            return result
        # Real roots: an odd root of a negative number is negative, its even powers are not.
        magnitude = self.approximate("power", abs(base), exponent)
        return -magnitude if base < 0 and exponent.numerator % 2 else magnitude

    def approximate(self, function: str, *operands: Fraction) -> Fraction:
        self.exact = False
        return _approximate(function, *operands)


_EXACT: dict[str, Callable[[Fraction], Fraction]] = {
    "neg": lambda x: -x,
    "%": lambda x: x / 100,
    "abs": abs,
    "sign": lambda x: Fraction((x > 0) - (x < 0)),
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "factorial": exact.factorial,
}

_DEGREES = {"sqrt": 2, "cbrt": 3}


_BASES = {"log2": 2, "log10": 10}

_PERIODIC = ("sin", "cos", "tan")


def _approximate(function: str, *operands: Fraction) -> Fraction:
    """An mpmath function of that name, to 50 digits. Raises ValueError if it isn't finite."""
    context = _context()
    numbers = [context.mpf(operand.numerator) / operand.denominator for operand in operands]
    try:
        if function in _BASES:
            result = context.log(*numbers, _BASES[function])
        elif numbers:
            result = getattr(context, function)(*numbers)
        else:
            result = +getattr(context, function)
    except (ValueError, ZeroDivisionError, OverflowError):
        result = None
    defined = isinstance(result, context.mpf) and context.isfinite(result)
    # An operand near a multiple of pi / 2 is meant to be one.
    if not defined or (function == "tan" and abs(result) > 1 / _NOISE):
        raise ValueError(f"{function} has no finite real value there")
    if not result or (function in _PERIODIC and abs(result) < _NOISE):
        return Fraction(0)
    exact.refuse_size(context.log10(abs(result)))
    mantissa, exponent = result.man_exp
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


@cache
def _context() -> Any:
    # A context of our own: mpmath's global precision belongs to whoever set it.
    from mpmath.ctx_mp import MPContext

    context = MPContext()
    context.dps = _DIGITS
    return context
