"""Functions for units and dates.

Nothing here takes long whatever it is given, so all of them run inline.
"""

import calendar
from datetime import date, time, timedelta
from difflib import get_close_matches
from enum import Enum
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from callsmith import function

Dimension = Literal["length", "mass", "volume", "time", "speed", "temperature"]
Amount = Annotated[float, Field(ge=-1e30, le=1e30)]
Unit = Annotated[str, Field(min_length=1, max_length=40)]
Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


class Period(Enum):
    """What a date is moved by."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


# Each unit in the first one of its dimension, as a fraction that is exact.
FACTORS: dict[str, dict[str, str]] = {
    "length": {
        "m": "1",
        "km": "1000",
        "dm": "1/10",
        "cm": "1/100",
        "mm": "1/1000",
        "in": "0.0254",
        "ft": "0.3048",
        "yd": "0.9144",
        "mi": "1609.344",
    },
    "mass": {
        "kg": "1",
        "g": "1/1000",
        "mg": "1/1000000",
        "t": "1000",
        "oz": "0.028349523125",
        "lb": "0.45359237",
    },
    "volume": {
        "l": "1",
        "ml": "1/1000",
        "cl": "1/100",
        "m3": "1000",
        "cup": "0.2365882365",
        "pint": "0.473176473",
        "gal": "3.785411784",
    },
    "time": {"s": "1", "ms": "1/1000", "min": "60", "h": "3600", "d": "86400", "week": "604800"},
    "speed": {"m/s": "1", "km/h": "5/18", "mph": "0.44704", "kn": "463/900"},
}
# A temperature in kelvin is (value + shift) * scale.
TEMPERATURES = {
    "K": (Fraction(0), Fraction(1)),
    "C": (Fraction("273.15"), Fraction(1)),
    "F": (Fraction("459.67"), Fraction(5, 9)),
}
# What people and models write for a unit, besides its symbol.
SPELLINGS = {
    **{"meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "mile": "mi"},
    **{"centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm"},
    **{"inch": "in", "inches": "in", "foot": "ft", "feet": "ft", "yard": "yd"},
    **{"kilogram": "kg", "gram": "g", "milligram": "mg", "ton": "t", "tonne": "t"},
    **{"ounce": "oz", "pound": "lb", "liter": "l", "litre": "l", "milliliter": "ml"},
    **{"gallon": "gal", "second": "s", "sec": "s", "minute": "min", "hour": "h", "day": "d"},
    **{"kph": "km/h", "kmh": "km/h", "knot": "kn", "°c": "C", "°f": "F"},
    **{"celsius": "C", "fahrenheit": "F", "kelvin": "K"},
}
DIMENSIONS: dict[str, Dimension] = {
    **{unit: dimension for dimension, units in FACTORS.items() for unit in units},
    **dict.fromkeys(TEMPERATURES, "temperature"),
}


@function(
    examples=[
        {"value": 5, "unit": "km", "to": "mi"},
        {"value": 98.6, "unit": "F", "to": "C"},
    ],
    inline=True,
)
def convert(value: Amount, unit: Unit, to: Unit) -> float:
    """Convert a value from one unit to another of the same dimension.

    Args:
        value: how much there is, in the first unit
        unit: the unit it is in, such as km, lb, h or C
        to: the unit wanted
    """
    known, wanted = read_unit(unit), read_unit(to)
    if DIMENSIONS[known] != DIMENSIONS[wanted]:
        raise ValueError(
            f"{known} is a unit of {DIMENSIONS[known]} and {wanted} one of {DIMENSIONS[wanted]}: "
            f"convert {known} to one of {', '.join(units_of(DIMENSIONS[known]))}"
        )
    # By way of its text: 0.1 means a tenth, not the float next to it.
    exact = Fraction(repr(value))
    if known in TEMPERATURES:
        shift, scale = TEMPERATURES[known]
        kelvin = (exact + shift) * scale
        if kelvin < 0:
            raise ValueError(f"nothing is as cold as {value:g} {known}: check the value")
        shift, scale = TEMPERATURES[wanted]
        exact = kelvin / scale - shift
    else:
        factors = FACTORS[DIMENSIONS[known]]
        exact *= Fraction(factors[known]) / Fraction(factors[wanted])
    return float(f"{float(exact):.12g}")


@function(examples=[{"dimension": "length"}], inline=True)
def units(dimension: Dimension) -> list[str]:
    """List the units of a dimension that convert knows."""
    return units_of(dimension)


@function(examples=[{"start": "2024-02-27", "end": "2024-03-02"}], inline=True)
def days_between(start: date, end: date) -> int:
    """Count the days from one date to another; below zero if the second is the earlier one.

    Args:
        start: the date counted from, as YYYY-MM-DD
        end: the date counted to, as YYYY-MM-DD
    """
    return (end - start).days


@function(
    examples=[
        {"day": "2024-01-31", "amount": 1, "period": "months"},
        {"day": "2024-03-01", "amount": -1, "period": "days"},
    ],
    inline=True,
)
def add_to_date(
    day: date, amount: Annotated[int, Field(ge=-100_000, le=100_000)], period: Period
) -> date:
    """Give the date that is some days, weeks, months or years later, or earlier if below zero.

    Where the month reached is too short, its last day is given.

    Args:
        day: the date begun from, as YYYY-MM-DD
        amount: how many of the period
        period: what is counted
    """
    too_far = ValueError(
        f"{amount} {period.value} from {day} is outside the years 1 to 9999: "
        "give an amount closer to zero"
    )
    if period in (Period.DAYS, Period.WEEKS):
        try:
            return day + timedelta(days=amount * (7 if period is Period.WEEKS else 1))
        except OverflowError:
            raise too_far from None
    months = day.year * 12 + day.month - 1 + amount * (12 if period is Period.YEARS else 1)
    year, month = months // 12, months % 12 + 1
    if not 1 <= year <= 9999:
        raise too_far
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


@function(examples=[{"day": "2024-02-29"}], inline=True)
def weekday(day: date) -> Weekday:
    """Say which day of the week a date is.

    Args:
        day: the date, as YYYY-MM-DD
    """
    return Weekday.__args__[day.weekday()]  # type: ignore[attr-defined, no-any-return]


@function(examples=[{"start": "22:15", "end": "06:40"}], inline=True)
def minutes_between(start: str, end: str) -> int:
    """Count the minutes from one time of day to the next time that the clock shows another.

    Args:
        start: the time counted from, as HH:MM
        end: the time counted to, as HH:MM
    """
    first, last = read_time(start), read_time(end)
    return (last.hour * 60 + last.minute - first.hour * 60 - first.minute) % (24 * 60)


def read_time(text: str) -> time:
    """The time of a text such as 9:05 or 14:30.

    Raises ValueError, saying what to write, for anything else.
    """
    hours, colon, minutes = text.strip().partition(":")
    if colon and hours.isascii() and minutes.isascii() and len(text) <= 8:
        try:
            return time(int(hours), int(minutes))
        except ValueError:
            pass  # The sentence below says more than int's or time's own.
    raise ValueError(f"{text[:20]!r} is no time of day: write HH:MM, from 00:00 to 23:59")


def read_unit(text: str) -> str:
    """The symbol of a unit, which may be spelled out or in the plural.

    Raises ValueError, naming what was perhaps meant, for one that isn't known.
    """
    name = text.strip()
    if name in DIMENSIONS:
        return name
    lower = name.lower()
    for spelling in (lower, lower.removesuffix("s")):
        if spelling in SPELLINGS:
            return SPELLINGS[spelling]
        # K, C and F are written small, too; no two units differ only in case.
        for unit in DIMENSIONS:
            if unit.lower() == spelling:
                return unit
    close = get_close_matches(lower, [*DIMENSIONS, *SPELLINGS], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "units(dimension) lists them"
    raise ValueError(f"there is no unit {name[:20]!r}: {hint}")


def units_of(dimension: str) -> list[str]:
    """The symbols of a dimension's units."""
    return list(TEMPERATURES if dimension == "temperature" else FACTORS[dimension])
