"""Text as the tokens of an expression: numbers, names and symbols.

Refused are texts of more than `MAX_LENGTH` characters or `MAX_TOKENS` tokens, and numbers of more
than `MAX_DIGITS` digits or with an exponent beyond `MAX_EXPONENT`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from callsmith_math.errors import ExpressionError
from callsmith_math.exact import restore

MAX_LENGTH = 1_000
MAX_TOKENS = 400
MAX_DIGITS = 100
MAX_EXPONENT = 300

_TRANSLATION = str.maketrans(
    {
        **dict.fromkeys("×·∙⋅", "*"),
        **dict.fromkeys("÷\u2215", "/"),
        **dict.fromkeys("−–", "-"),
        "π": " pi ",
        "√": " √ ",
        "\u00a0": " ",
    }
)

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = str.maketrans(_SUPERSCRIPTS, "0123456789")

_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<symbol>\*\*|//|==|[-+*/^()%!=√])"
    r"|(?P<end>$)"
    r"|(?P<other>.))",
    re.DOTALL,
)

_SAME = {"**": "^", "==": "="}


class Token(NamedTuple):
    """``kind`` is ``number``, ``name``, ``symbol``, or ``end`` for what follows the last one."""

    kind: str
    text: str


END = Token("end", "")


def scan(text: str) -> list[Token]:
    """The tokens of a text, at least one. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters: at most {MAX_LENGTH:,} can be read"
        )
    tokens = []
    plain = _RAISED.sub(lambda match: "^" + match[0].translate(_LOWERED), text)
    for match in _TOKEN.finditer(plain.translate(_TRANSLATION)):
        kind = match.lastgroup or ""
        if kind == "end":
            break
        token = match[kind]
        if kind == "other":
            hint = " (a comma can only group thousands, 1,234)" if token == "," else ""
            raise ExpressionError(f"{token!r} has no meaning in {shorten(text)}{hint}")
        tokens.append(Token(kind, _SAME.get(token, token)))
    if len(tokens) > MAX_TOKENS:
        raise ExpressionError(
            f"the expression has {len(tokens)} numbers, names and signs: at most {MAX_TOKENS}"
            " can be read, so work in parts"
        )
    if not tokens:
        raise ExpressionError("the expression is empty")
    return tokens


def read_number(text: str) -> Fraction:
    """The number that a token is, ``1,234.5e6`` say. Raises ExpressionError."""
    digits = text.replace(",", "")
    if digits.isdigit() and len(digits) <= MAX_DIGITS:
        return Fraction(int(digits))
    mantissa, _, exponent = digits.lower().partition("e")
    # The exponent's own length is checked before it becomes a number.
    if len(mantissa) > MAX_DIGITS or len(exponent) > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise ExpressionError(
            f"the number {text[:20]}… is too long: at most {MAX_DIGITS} digits"
            f" and exponents up to {MAX_EXPONENT} can be read"
        )
    return restore(Fraction(digits))


def shorten(text: str) -> str:
    """The text in quotes, for a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
