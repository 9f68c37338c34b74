"""Numbers as models write them, computed exactly.

A JSON number stands for the decimal that it is written as: 0.1 is 1/10, not the nearest binary
float. All arithmetic is on fractions of bounded size; a result goes back as an integer if it is
one, else as a decimal of at most 12 significant digits, so that no model is ever shown
0.30000000000000004. Everything here is bounded, and what would be too large is refused.
"""

from __future__ import annotations

import math
from fractions import Fraction

MAX_BITS = 8_192
"""Of a numerator or denominator: an operation on two such takes microseconds."""

MAX_DIGITS = 300
"""Before the decimal point of a result, and zeros after it."""

SIGNIFICANT = 12

_LARGEST = 10**MAX_DIGITS
_SMALLEST = Fraction(1, _LARGEST)
# 1e16 is where binary floats no longer tell neighbouring integers apart.
_INTEGRAL = 10**16


def exact(number: int | float) -> Fraction:
    """The fraction that a JSON number stands for.

    Raises ValueError for infinities, for what is no number, and for more than 300 digits.
    """
    if isinstance(number, int):
        if abs(number) >= _LARGEST:
            raise ValueError(_too_large())
        return Fraction(number)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return restore(Fraction(repr(number)))


def restore(decimal: Fraction) -> Fraction:
    """Undo the cut at 12 digits: 0.333333333333 is 1/3, so that three of it make 1.

    Gives the fraction of denominator up to 10,000 that would be shown as this decimal, if there
    is one. A decimal of fewer than ten digits can be shown by none but itself.
    """
    if decimal.denominator <= 10_000:
        return decimal
    simple = decimal.limit_denominator(10_000)
    return simple if _decimal(simple) == float(decimal) else decimal


def number(value: Fraction) -> int | float:
    """A result as a model is shown it. Raises ValueError past 300 digits either way."""
    if abs(value) >= _LARGEST:
        raise ValueError(_too_large())
    if value.denominator == 1:
        return value.numerator
    if abs(value) < _SMALLEST:
        raise ValueError(_too_small())
    decimal = _decimal(value)
    return int(decimal) if decimal.is_integer() and abs(decimal) < _INTEGRAL else decimal


def _decimal(value: Fraction) -> float:
    """Rounded to 12 significant digits, or to cents where that is more."""
    rounded = float(value)
    integer_digits = len(str(int(abs(rounded)))) if abs(rounded) < _INTEGRAL else SIGNIFICANT
    return float(f"{rounded:.{max(SIGNIFICANT, integer_digits + 2)}g}")


def divide(a: Fraction, b: Fraction) -> Fraction:
    """Raises ValueError for a divisor of zero."""
    if not b:
        raise ValueError("division by zero has no result")
    return a / b


def power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """``base`` to the ``exponent``; None if that is no fraction of bounded size.

    Raises ValueError if it is no real number, or has more than 300 digits.
    """
    if not base and exponent < 0:
        raise ValueError("zero has no negative power: that would divide by zero")
    if base in (0, 1) or not exponent:
        return Fraction(base if exponent else 1)
    if base < 0 and exponent.denominator % 2 == 0:
        raise ValueError("a negative number has no real even root")
    root = nth_root(base, exponent.denominator)
    if root is None:
        return None
    # By logarithms, so that nothing is computed that would be refused.
    logarithm = math.log10(abs(root.numerator)) - math.log10(root.denominator)
    refuse_size(Fraction(logarithm) * exponent.numerator)
    largest = max(root.numerator.bit_length(), root.denominator.bit_length())
    if largest * abs(exponent.numerator) > MAX_BITS and abs(root) != 1:
        return None
    return Fraction(root**exponent.numerator)


def refuse_size(logarithm: float | Fraction) -> None:
    """Raises ValueError if a number of that decimal logarithm is too large, or too small."""
    if logarithm > MAX_DIGITS:
        raise ValueError(_too_large())
    if logarithm < -MAX_DIGITS:
        raise ValueError(_too_small())


def nth_root(value: Fraction, degree: int) -> Fraction | None:
    """The exact real root, or None if it is irrational. ``value`` may be negative if odd."""
    if value < 0:
        positive = nth_root(-value, degree)
        return None if positive is None else -positive
    numerator = _integer_root(value.numerator, degree)
    denominator = _integer_root(value.denominator, degree)
    if numerator is None or denominator is None:
        return None
    return Fraction(numerator, denominator)


def _integer_root(value: int, degree: int) -> int | None:
    if degree == 1 or value < 2:
        return value
    if degree >= value.bit_length():
        return None  # 2**degree is larger already; it also bounds the powers below
    guess = 1 << -(-value.bit_length() // degree)
    while True:  # Newton's method on integers, from above: at most a few dozen rounds
        better = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess if guess**degree == value else None
        guess = better


def factorial(value: Fraction) -> Fraction:
    """Raises ValueError for negative numbers, fractions, and results past 300 digits."""
    if value.denominator != 1 or value < 0:
        raise ValueError("factorials are of whole numbers from 0 on")
    if value > MAX_DIGITS:
        raise ValueError(_too_large())
    return Fraction(math.factorial(value.numerator))


def bounded(value: Fraction) -> Fraction:
    """The same, unless its size would make what follows slow. Raises ValueError then."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ValueError(_too_large())
    return value


def _too_large() -> str:
    return f"the result is too large: at most {MAX_DIGITS} digits can be given"


def _too_small() -> str:
    return f"the result is too small: it starts with over {MAX_DIGITS} zeros"
