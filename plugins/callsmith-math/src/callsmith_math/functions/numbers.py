"""Lists of numbers and whole numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, TypeAlias

from pydantic import Field

from callsmith.functions import function
from callsmith_math import exact as exactly
from callsmith_math.exact import exact, number

Values: TypeAlias = Annotated[list[float], Field(min_length=1, max_length=200)]


@function(name="min", examples=[{"values": [3, 1.5, 2]}], inline=True)
def minimum(values: Values) -> float:
    """Give the smallest of the values."""
    return number(min(map(exact, values)))


@function(name="max", examples=[{"values": [3, 1.5, 2]}], inline=True)
def maximum(values: Values) -> float:
    """Give the largest of the values."""
    return number(max(map(exact, values)))


@function(name="sum", examples=[{"values": [3, 1.5, 2]}], inline=True)
def total(values: Values) -> float:
    """Add up the values."""
    return number(sum(map(exact, values), Fraction(0)))


@function(examples=[{"values": [3, 1, 2]}], inline=True)
def mean(values: Values) -> float:
    """Give the average of the values."""
    return number(sum(map(exact, values), Fraction(0)) / len(values))


@function(examples=[{"a": 12, "b": 18}], inline=True)
def gcd(a: int, b: int) -> int:
    """Give the greatest common divisor of two whole numbers."""
    return math.gcd(_whole(a), _whole(b))


@function(examples=[{"a": 4, "b": 6}], inline=True)
def lcm(a: int, b: int) -> int:
    """Give the least common multiple of two whole numbers."""
    return int(number(Fraction(math.lcm(_whole(a), _whole(b)))))


@function(examples=[{"n": 5}], inline=True)
def factorial(n: int) -> int:
    """Give n!: in how many orders n things can stand."""
    return int(number(exactly.factorial(exact(n))))


@function(examples=[{"n": 5, "k": 2}], inline=True)
def combinations(n: int, k: int) -> int:
    """Say in how many ways k things can be chosen from n, whatever their order."""
    things, chosen = _whole(n), _whole(k)
    if not 0 <= chosen <= things <= 1_000:
        raise ValueError("combinations needs 0 <= k <= n <= 1000")
    return int(number(Fraction(math.comb(things, chosen))))


def _whole(value: int | float) -> int:
    """JSON calls 4.0 an integer, too. Raises ValueError past 300 digits."""
    return exact(value).numerator
