"""The four operations and their kin: two numbers in, one number out, exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from callsmith.functions import function
from callsmith_math import arithmetic
from callsmith_math.exact import divide as divide_exactly
from callsmith_math.exact import exact, number


@function(examples=[{"a": 48, "b": 24}], inline=True)
def add(a: float, b: float) -> float:
    """Add a and b."""
    return number(exact(a) + exact(b))


@function(examples=[{"a": 48, "b": 2.5}], inline=True)
def subtract(a: float, b: float) -> float:
    """Subtract b from a."""
    return number(exact(a) - exact(b))


@function(examples=[{"a": 12, "b": 0.5}], inline=True)
def multiply(a: float, b: float) -> float:
    """Multiply a by b."""
    return number(exact(a) * exact(b))


@function(examples=[{"a": 48, "b": 2}], inline=True)
def divide(a: float, b: float) -> float:
    """Divide a by b."""
    return number(divide_exactly(exact(a), exact(b)))


@function(examples=[{"base": 2, "exponent": 10}], inline=True)
def power(base: float, exponent: float) -> float:
    """Raise base to the exponent. The exponent may be negative or a decimal."""
    return number(arithmetic.power(exact(base), exact(exponent)))


@function(examples=[{"a": 144}, {"a": 27, "degree": 3}], inline=True)
def root(a: float, degree: Annotated[int, Field(ge=1, le=100)] = 2) -> float:
    """Take the root of a: the square root, or the cube root with degree=3, and so on."""
    return number(arithmetic.power(exact(a), Fraction(1, int(degree))))


@function(examples=[{"a": 17, "b": 5}], inline=True)
def quotient(a: float, b: float) -> float:
    """Divide a by b and keep the whole part: how many times b fits into a."""
    return number(Fraction(math.floor(divide_exactly(exact(a), exact(b)))))


@function(examples=[{"a": 17, "b": 5}], inline=True)
def remainder(a: float, b: float) -> float:
    """Give what is left of a after taking away b as often as it fits."""
    dividend, divisor = exact(a), exact(b)
    return number(dividend - divisor * math.floor(divide_exactly(dividend, divisor)))


@function(name="round", examples=[{"a": 2.5}, {"a": 3.14159, "digits": 2}], inline=True)
def round_number(a: float, digits: Annotated[int, Field(ge=-12, le=12)] = 0) -> float:
    """Round a to that many digits after the point. Halves are rounded away from zero."""
    scale = Fraction(10) ** int(digits)
    value = exact(a) * scale
    magnitude = math.floor(abs(value) + Fraction(1, 2)) / scale
    return number(magnitude if value >= 0 else -magnitude)


@function(examples=[{"a": -7}], inline=True)
def absolute(a: float) -> float:
    """Give the absolute value of a: its size without the sign."""
    return number(abs(exact(a)))
