"""Percentages, rates and fractions, and the value of a whole expression."""

from __future__ import annotations

from typing import Literal

from callsmith.functions import function
from callsmith_math import arithmetic
from callsmith_math.exact import divide, exact, number


@function(examples=[{"rate": 20, "of": 150}], inline=True)
def percent(rate: float, of: float) -> float:
    """Give rate percent of a number."""
    return number(exact(rate) * exact(of) / 100)


@function(examples=[{"part": 30, "whole": 150}], inline=True)
def as_percent(part: float, whole: float) -> float:
    """Say how many percent of the whole the part is."""
    return number(divide(exact(part), exact(whole)) * 100)


@function(examples=[{"old": 80, "new": 100}], inline=True)
def percent_change(old: float, new: float) -> float:
    """Say by how many percent old must change to become new; a decrease is negative."""
    return number(divide(exact(new) - exact(old), abs(exact(old))) * 100)


@function(examples=[{"amount": 150, "units": 3}], inline=True)
def rate(amount: float, units: float) -> float:
    """Give the amount for one unit: a price for each piece, a distance for each hour."""
    return number(divide(exact(amount), exact(units)))


@function(examples=[{"a": 3, "b": 12, "c": 5}], inline=True)
def proportion(a: float, b: float, c: float) -> float:
    """If a goes with b, say what goes with c: 3 cost 12, so 5 cost 20."""
    return number(divide(exact(b) * exact(c), exact(a)))


@function(examples=[{"expression": "6/8"}, {"expression": "1/2 + 1/3"}], inline=True)
def fraction(expression: str) -> str:
    """Compute with fractions exactly and give the result as a fraction in lowest terms."""
    return str(arithmetic.fraction(expression))


@function(examples=[{"a": "3/4", "b": 0.7}], inline=True)
def compare(a: float | str, b: float | str) -> Literal["less", "equal", "greater"]:
    """Say whether a is less than, equal to or greater than b. Both may be fractions as text."""
    first, second = arithmetic.quantity(a), arithmetic.quantity(b)
    if first == second:
        return "equal"
    return "less" if first < second else "greater"


@function(examples=[{"expression": "2 * (3 + 4)^2 - sqrt(16)"}], inline=True)
def evaluate(expression: str) -> float:
    """Compute an expression of numbers with + - * / ^, brackets, 20%, pi, e and sqrt, sin, ln."""
    return arithmetic.evaluate(expression)
