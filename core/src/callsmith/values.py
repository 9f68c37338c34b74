"""JSON values that come from outside: from models, servers and functions.

What passes here can be recorded, sent on, and read again as it was.
"""

from __future__ import annotations

import json
import math

from callsmith.chain import JSON

MAX_DEPTH = 20
"""Brackets within brackets in a value: readers and writers of JSON die of far more."""

MAX_DIGITS = 4_300
"""Of a whole number: Python itself writes and reads no more."""

INFINITE = "a number is infinite, or none at all"
"""What is said of a result with a number too large to be one."""

# At every step of every chain: a tuple is faster to ask than a union made anew each time.
_CONTAINERS = (list, tuple, dict)
_KEYS = (str, int, float)

_MAX_BITS = int(MAX_DIGITS * math.log2(10))

write_json = json.JSONEncoder(ensure_ascii=False).encode
"""A value as JSON in one line. `json.dumps` with options builds an encoder at every call."""


def plain(value: object, depth: int = MAX_DEPTH) -> JSON:
    """The value as JSON gives it back: tuples as lists, keys as text, and text as `readable`.

    Raises ValueError that says what is wrong: a number that is infinite or too long, a value
    nested more than ``depth`` deep, or one that JSON has no word for.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise ValueError(f"a number has more than {MAX_DIGITS:,} digits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(INFINITE)
        return float(value)
    if not isinstance(value, _CONTAINERS):
        raise ValueError(f"JSON has no {type(value).__name__}")
    if not depth:
        raise ValueError(f"brackets are nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        return [plain(item, depth - 1) for item in value]
    made = {}
    for key, item in value.items():
        if not isinstance(key, _KEYS):
            raise ValueError("a key is no text")
        made[readable(str(key))] = plain(item, depth - 1)
    return made


def exceeds(value: JSON, most: int) -> bool:
    """Whether a JSON value has more than ``most`` characters and items; looks at no more of it."""
    count, left = 0, [value]
    while left and count <= most:
        item = left.pop()
        count += 1
        if isinstance(item, str):
            count += len(item)
        elif isinstance(item, _CONTAINERS):
            count += len(item)
            if count <= most:
                left += item
                left += item.values() if isinstance(item, dict) else ()
    return count > most


def readable(text: str) -> str:
    """The text, with halves of characters (which models write, and no encoding can) replaced."""
    if text.isascii():
        return str.__str__(text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
