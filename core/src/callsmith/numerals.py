"""Reading a number as people and models write it, and nothing that might be another one."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from callsmith.chain import JSON

MAX_TEXT = 200
"""Characters of an answer that are read as a number or a label; a longer one is refused."""

MAX_SIZE = 10**300
"""Numbers from here on are refused: what follows may compute in floats."""


class Quantity(NamedTuple):
    """A number as written. ``value`` is exact; ``percent`` says that a ``%`` followed it."""

    value: Fraction
    percent: bool = False


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_MINUS = re.compile("[\u2012\u2013\u2212]")  # figure dash, en dash, minus sign
_NUMBER = re.compile(
    rf"""(?<![\w.,:/^$€£¥*+-])                  # the start of a number, not the middle of something
    (?P<sign>[+-]?)[$€£¥]?(?P<inner>[+-]?)
    (?: (?P<whole>\d+)[ ]+(?P<top>\d+)/(?P<bottom>\d+)       # 1 1/2
      | (?P<over>{_DIGITS})\s*/\s*(?P<under>{_DIGITS})       # 3/4
      | (?P<digits>{_DIGITS})(?P<exponent>[eE][+-]?\d{{1,3}}(?!\w))?   # 1,234.5  1.5e3
    )\s*(?P<percent>%?)
    (?![\d/^*+])""",
    re.VERBOSE | re.ASCII,
)
# What may stand around a number without changing it. Slashes and hyphens only inside of words.
_HARMLESS = re.compile(
    r"[^\W\d_] | (?<=[^\W\d_])[/-](?=[^\W\d_]) | [\s.,;:'\"()\[\]{}\#=$€£¥°]", re.VERBOSE
)
_CHANGING_WORD = re.compile(
    r"""\b(?: not | minus | negative | plus | times | over | half | thirds? | quarters? | squared
    | cubed | sqrt | root | hundred | thousand | million | billion | trillion | dozens? | pairs?
    | or | than | least | most | under | between | pi | π )\b""",
    re.VERBOSE,
)
_CHANGING_SUFFIX = re.compile(r"\s*(?:[kKMBxyznei]|[bm]n)(?![^\W\d_])")


def read_number(value: JSON) -> Quantity | str:
    """The number in an answer, or why there is none to be sure of.

    Read are numbers, and texts with one number in them: ``1,234``, ``$5``, ``-$5.00``, ``50%``,
    ``3/4``, ``1 1/2``, ``1.5e3``, ``72 clips.``, ``x = 72``. Refused are truth values, texts
    with two numbers or an unfinished one (``1,23``, ``3:30``), and words and signs that would
    change the number (``5 million``, ``5k``, ``half of 5``, ``> 5``, ``- 5``).
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return f"{shorten(value)} is not a number"
    if len(value) > MAX_TEXT if isinstance(value, str) else not abs(value) < MAX_SIZE:
        return f"{shorten(value)} is out of range"
    if not isinstance(value, str):
        return Quantity(Fraction(value))
    text = _MINUS.sub("-", value.strip(" *_`"))
    found = list(_NUMBER.finditer(text))
    if not found:
        return f"{shorten(value)} is not a number"
    if len(found) > 1:
        return f"{shorten(value)} has more than one number"
    match = found[0]
    before, after = text[: match.start()], text[match.end() :]
    around = f"{before} {after}".casefold()
    if (
        any(char.isnumeric() for char in around)
        or _HARMLESS.sub("", around).strip()
        or _CHANGING_WORD.search(around)
        or _CHANGING_SUFFIX.match(after)
        or (match["sign"] and match["inner"])
    ):
        return f"{shorten(value)} is not plainly a number"
    size = _size(match)
    if size is None or size >= MAX_SIZE:
        return f"{shorten(value)} is not a number to compare"
    negative = "-" in (match["sign"], match["inner"])
    percent = bool(match["percent"]) or "percent" in around
    return Quantity(-size if negative else size, percent)


def _size(match: re.Match[str]) -> Fraction | None:
    def plain(text: str) -> Fraction:
        return Fraction(text.replace(",", "").removesuffix("."))

    if match["digits"]:
        return plain(match["digits"]) * Fraction(10) ** int((match["exponent"] or "e0")[1:])
    top, bottom = plain(match["top"] or match["over"]), plain(match["bottom"] or match["under"])
    if not bottom or (match["whole"] and top >= bottom):
        return None
    return Fraction(match["whole"] or 0) + top / bottom


def shorten(value: JSON, limit: int = 60) -> str:
    """A value in one short line, for reasons and error messages."""
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # Python prints no integer of over 4,300 digits
        return "a very large value"
    return shown if len(shown) <= limit else f"{shown[:limit]}…"
