"""Verifiers: whether an answer is the gold answer.

They read the formats that people and models write, and refuse, with a reason, what could be meant
in two ways: a right answer that is refused costs a chain, a wrong one that is accepted teaches a
mistake. Nothing is evaluated, and nothing long is read.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeAlias

from callsmith.chain import JSON
from callsmith.errors import DataError
from callsmith.numerals import MAX_TEXT, Quantity, read_number, shorten

MAX_ITEMS = 100
"""Items of an answer that are compared as a set; a longer one is refused."""

Comparison: TypeAlias = tuple[bool, str]
"""Whether the answer is right, and why not if it isn't."""


_NUMBERS = (int, float)  # not bool: True is no 1


class Verifier(Protocol):
    """Compares answers with gold answers. Neither method ever raises.

    ``answer`` is the JSON Schema of the answers worth comparing. ``corrupted`` makes wrong answers
    of a gold one, for `testing.check_task`.
    """

    @property
    def answer(self) -> JSON: ...

    def compare(self, answer: JSON, gold: JSON) -> Comparison: ...

    def corrupted(self, gold: JSON) -> Sequence[JSON]: ...


@dataclass(frozen=True)
class NumberVerifier:
    """Numbers, in the formats that `read_number` reads.

    Whole numbers must be equal; others may differ by ``tolerance``, and by the last digits of a
    float. Units are not compared. Beside a bare number, ``50%`` is 50, or 0.5 if the bare number
    is below 1.
    """

    tolerance: float = 1e-6

    @property
    def answer(self) -> JSON:
        return {"anyOf": [{"type": "number"}, {"type": "string"}]}

    def compare(self, answer: JSON, gold: JSON) -> Comparison:
        found, wanted = read_number(answer), read_number(gold)
        if isinstance(found, str):
            return False, found
        if isinstance(wanted, str):
            return False, f"the gold answer can't be compared: {wanted}"
        if self._agree(found, wanted):
            return True, ""
        return False, f"answered {shorten(answer)}, not {shorten(gold)}"

    def _agree(self, found: Quantity, wanted: Quantity) -> bool:
        a, b = found.value, wanted.value
        if found.percent != wanted.percent:
            a = a / 100 if found.percent and abs(b) < 1 else a
            b = b / 100 if wanted.percent and abs(a) < 1 else b
        if a.denominator == b.denominator == 1 and self.tolerance < 1:
            return a == b
        return abs(a - b) <= self.tolerance + abs(b) / 10**9

    def corrupted(self, gold: JSON) -> Sequence[JSON]:
        wanted = read_number(gold)
        if isinstance(wanted, str):
            return [None]
        value = wanted.value
        off = max(Fraction(1), 2 * Fraction(self.tolerance), abs(value) / 10**6)
        wrong = [value + off, value - off, value * 10 + off]
        if abs(value) > off:
            wrong.append(-value)
        plain = [int(v) if v.denominator == 1 else float(v) for v in wrong]
        return [*plain, f"{plain[0]} or {plain[1]}", str(plain[2]), None]


@dataclass(frozen=True)
class LabelVerifier:
    """One of a few labels, in any of their spellings, whatever the case.

    ``labels`` are the labels, or maps each to its other spellings: ``{"True": ["A", "yes"]}``.
    Raises DataError if two labels share a spelling.
    """

    labels: Sequence[str] | Mapping[str, Sequence[str]]
    _spellings: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spellings: dict[str, str] = {}
        for label in self.labels:
            others = self.labels[label] if isinstance(self.labels, Mapping) else ()
            for spelling in (label, *others):
                if spellings.setdefault(_bare(spelling), label) != label:
                    taken = spellings[_bare(spelling)]
                    raise DataError(
                        f"the labels {taken!r} and {label!r} are both spelt {spelling!r}: "
                        "give each its own spellings"
                    )
        object.__setattr__(self, "_spellings", spellings)

    @property
    def answer(self) -> JSON:
        return {"enum": list(self.labels)}

    def read(self, value: JSON) -> str | None:
        """The label that a value spells, if it does."""
        text = str(value) if isinstance(value, int | str) else ""
        return self._spellings.get(_bare(text)) if len(text) <= MAX_TEXT else None

    def compare(self, answer: JSON, gold: JSON) -> Comparison:
        found, wanted = self.read(answer), self.read(gold)
        if found is not None and found == wanted:
            return True, ""
        if found is None:
            return False, f"{shorten(answer)} is none of {', '.join(self.labels)}"
        return False, f"answered {found}, not {shorten(gold)}"

    def corrupted(self, gold: JSON) -> Sequence[JSON]:
        wrong = [label for label in self.labels if label != self.read(gold)]
        return [*wrong, f"{gold} or {wrong[0]}" if wrong else None, ""]


@dataclass(frozen=True)
class ExactVerifier:
    """The same JSON value. Texts are equal whatever their case, spacing and closing full stop."""

    answer: JSON = field(default_factory=dict)

    def compare(self, answer: JSON, gold: JSON) -> Comparison:
        try:
            if type(answer) in _NUMBERS and type(gold) in _NUMBERS:
                same = answer == gold  # most of them, and ten times as fast
            else:
                same = _canonical(answer) == _canonical(gold)
        except (RecursionError, ValueError):
            return False, "the answer is too large to compare"
        if same:
            return True, ""
        return False, f"answered {shorten(answer)}, not {shorten(gold)}"

    def corrupted(self, gold: JSON) -> Sequence[JSON]:
        return [f"not {gold}", [gold], None if gold is not None else False]


@dataclass(frozen=True)
class SetVerifier:
    """The same items in any order, each once; ``items`` compares two of them.

    An answer in words is split at semicolons, line ends, and commas followed by a space.
    """

    items: Verifier = field(default_factory=ExactVerifier)

    @property
    def answer(self) -> JSON:
        return {"type": "array", "items": self.items.answer}

    def compare(self, answer: JSON, gold: JSON) -> Comparison:
        found, wanted = _items(answer), _items(gold)
        if found is None or wanted is None:
            return False, f"{shorten(answer)} is no list of at most {MAX_ITEMS:,} items"
        for item in wanted:
            if not any(self.items.compare(other, item)[0] for other in found):
                return False, f"{shorten(item)} is missing"
        for other in found:
            if not any(self.items.compare(other, item)[0] for item in wanted):
                return False, f"{shorten(other)} is too much"
        return True, ""

    def corrupted(self, gold: JSON) -> Sequence[JSON]:
        items = _items(gold) or []
        wrong = self.items.corrupted(items[0])[0] if items else 0
        # Another item in place of the first may happen to be there already.
        fresh = not any(self.items.compare(wrong, item)[0] for item in items)
        return [None, *([[*items, wrong], [wrong, *items[1:]]] if fresh else [])]


def _items(value: JSON) -> list[JSON] | None:
    if isinstance(value, str) and len(value) <= MAX_ITEMS * MAX_TEXT:
        value = [part for part in re.split(r";|\n|,\s+", value.strip("[]{}() \t\n")) if part]
    return value if isinstance(value, list) and len(value) <= MAX_ITEMS else None


def _bare(text: str) -> str:
    """A label without case, spacing and what people put around it: ``(A)``, ``True.``"""
    return _plain(text).strip(" .,;:!()[]{}*_'\"`")


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", " ", folded).strip().removesuffix(".")


def _canonical(value: JSON) -> str:
    """Equal for equal values, and different for ``1``, ``"1"`` and ``True``."""

    def fold(value: JSON) -> JSON:
        if isinstance(value, str):
            return _plain(value)
        if isinstance(value, list | tuple):
            return [fold(item) for item in value]
        if isinstance(value, Mapping):
            return {str(name): fold(item) for name, item in value.items()}
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return json.dumps(fold(value), sort_keys=True)
