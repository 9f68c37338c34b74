"""Argument sets for a fuzz: made of a function's JSON Schema and examples, the same for one seed.

Valid ones are as hostile as the schema allows; invalid ones are valid but for one argument. The
keywords are those that pydantic writes; what a schema says beyond them is met by trying.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from callsmith.chain import JSON, Problem
from callsmith.functions import Example, Function

NASTY_TEXTS = (
    "",
    " ",
    "\n",
    "\x00",
    "0",
    "-1",
    "1/0",
    "1e999",
    "nan",
    "None",
    "9**9**9",
    "(" * 2_000,
    "[" * 2_000 + "]" * 2_000,
    "-" * 2_000 + "1",
    "a" * 20_000,
    "a " * 5_000,
    "é" * 50,
    "\u202eabc",
    "\ud800",
    "🙂",
    "x = ",
    "= x",
    "f(,)",
    "forall x",
    "{0.__class__}",
    "%s%n",
    "__import__('os').system('true')",
    "'; DROP TABLE x; --",
    "<b>",
    "../../etc/passwd",
    "$(true)",
    "(a+)+$",
    "<|im_end|>",
)
NASTY_NUMBERS = (0, 1, -1, 2, 0.5, -0.0, 0.1, 100, 1e-320, 1.7e308, -1.7e308, 10**30, -(10**300))
FORMATS: Mapping[str, tuple[str, ...]] = {
    "date": ("2024-02-29", "0001-01-01", "9999-12-31"),
    "date-time": ("2024-02-29T12:00:00Z", "1970-01-01T00:00:00+14:00"),
    "time": ("00:00:00", "23:59:59.999999", "12:00:00Z"),
    "duration": ("P1D", "PT0S", "P3Y6M4DT12H30M5S"),
    "email": ("a@example.org",),
    "uri": ("http://example.org/", "file:///nowhere"),
    "uuid": ("00000000-0000-0000-0000-000000000000",),
}
PATTERNED = ("0", "1.5", "-3", "a", "abc", "A1", "a_b", "a-b", "AB-12", "12:30", "#fff", "a@b.co")
"""Texts that are tried where a pattern is asked for, besides those of the examples."""

SIGNS = "()[]{}+-*/^=<>,.;:!?'\"\\ 019xyz∀¬"

TRIES = 200
DEPTH = 4


class Unmade(Exception):
    """No value could be made; the message says of what."""


class Sampler:
    """Makes argument sets for one function, in the words of its pack's examples, twisted."""

    def __init__(self, function: Function, pack: Iterable[Function], seed: int) -> None:
        self.function = function
        self.random = Random(f"{seed} {function.qualified_name}")
        self.examples = function.examples or (Example({}, Problem("?")),)
        sets = [dict(example.arguments) for one in pack for example in one.examples]
        # What arguments of this name are given elsewhere makes sense here more often than not.
        self._values = {name: [s[name] for s in sets if name in s] for name in function.properties}
        self._made: list[dict[str, JSON]] = []
        self._texts = sorted({text for text in _inside(sets) if isinstance(text, str)})
        self._keys = sorted({key for s in sets for key in _keys_in(list(s.values()))})

    def valid(self) -> tuple[dict[str, JSON], Example]:
        """Arguments that the schema allows, and the example whose problem and state go with them.

        Raises Unmade if none were found.
        """
        for _ in range(TRIES):
            example = self.random.choice(self.examples)
            made = self._arguments(example)
            if not self.function.check(made):
                self._made = [*self._made[-99:], made]
                return made, example
        raise Unmade(f"none of {TRIES} argument sets made for {self.function.name} is valid")

    def invalid(self) -> tuple[dict[str, JSON], str]:
        """Arguments of which the schema does not allow one, and its name.

        Raises Unmade if none were found.
        """
        for _ in range(TRIES):
            whole = self.random.choice(self._made) if self._made else self.valid()[0]
            made, name = self._broken(deepcopy(whole))
            if self.function.check(made):
                return made, name
        raise Unmade(f"{self.function.name} allows any arguments")

    # ---- whole sets -----------------------------------------------------------------------------

    def _arguments(self, example: Example) -> dict[str, JSON]:
        properties, random = self.function.properties, self.random
        if example.arguments and random.random() < 0.6:
            # An example with one argument changed: what is next to sense goes deepest.
            made = deepcopy(dict(example.arguments))
            names = [random.choice(list(properties))]
        else:
            made = {}
            required = self.function.required
            names = [name for name in properties if name in required or random.random() < 0.5]
        for name in names:
            if self._values[name] and random.random() < 0.4:
                made[name] = deepcopy(random.choice(self._values[name]))
            else:
                made[name] = self.value(properties[name])
        return made

    def _broken(self, made: dict[str, JSON]) -> tuple[dict[str, JSON], str]:
        random, properties = self.random, self.function.properties
        way = random.randrange(4)
        if way == 0 and self.function.required:
            name = random.choice(self.function.required)
            made.pop(name, None)
        elif way == 1 or not properties:
            name = random.choice(("x_", "kwargs", "self", *(f"{name}_" for name in properties)))
            made[name] = self._anything(1)
        else:
            name = random.choice(list(properties))
            value = made.get(name)
            made[name] = self._twisted(value) if way == 2 else self._anything(2)
        return made, name

    def _twisted(self, value: JSON) -> JSON:
        """The value made wrong somewhere inside, or a little out of bounds."""
        random = self.random
        if isinstance(value, list):
            if value and random.random() < 0.5:
                at = random.randrange(len(value))
                return [*value[:at], self._twisted(value[at]), *value[at + 1 :]]
            return random.choice(([], value * 60, [*value, self._anything(1)]))
        if isinstance(value, dict) and value:
            key = random.choice(list(value))
            return {**value, key: self._twisted(value[key])}
        if isinstance(value, int | float) and not isinstance(value, bool):
            return random.choice((-value - 1, value * 1e6 + 0.5, str(value), value + 0.5, None))
        return self._anything(1)

    # ---- values ---------------------------------------------------------------------------------

    def value(self, schema: JSON, depth: int = DEPTH) -> JSON:
        """A value that the schema allows, as far as the keywords known here go."""
        if schema is True or not schema:
            return self._anything(2)
        if "$ref" in schema:
            return self.value(self._resolved(schema["$ref"]), depth - 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                options = list(schema[word])
                if depth <= 0:  # types that hold themselves must come to an end
                    options = [one for one in options if not _nests(one)] or options
                return self.value(self.random.choice(options), depth)
        if "allOf" in schema:
            merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                merged |= self._resolved(part["$ref"]) if "$ref" in part else part
            return self.value(merged, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self.value({**schema, "type": self.random.choice(kind)}, depth)
        make = self._makers.get(kind)
        return make(self, schema, depth) if make else self._anything(2)

    def _resolved(self, ref: str) -> Mapping[str, Any]:
        found: Any = self.function.parameters
        for part in ref.removeprefix("#").strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found  # type: ignore[no-any-return]

    def _null(self, schema: Mapping[str, Any], depth: int) -> None: ...

    def _boolean(self, schema: Mapping[str, Any], depth: int) -> bool:
        return self.random.random() < 0.5

    def _number(self, schema: Mapping[str, Any], depth: int) -> int | float:
        random, whole = self.random, schema.get("type") == "integer"
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        number: int | float
        if low is not None or high is not None:
            start = low if low is not None else high - 1_000
            end = high if high is not None else start + 1_000
            number = random.choice((start, end, random.uniform(start, end)))
            if "exclusiveMinimum" in schema and number == start:
                number = start + (1 if whole else (end - start) / 1_000)
            if "exclusiveMaximum" in schema and number == end:
                number = end - (1 if whole else (end - start) / 1_000)
        elif random.random() < 0.4:
            number = random.choice(NASTY_NUMBERS)
        else:
            number = random.choice((random.randint(-20, 100), round(random.gauss(0, 100), 3)))
        if step := schema.get("multipleOf"):
            number = round(number / step) * step
        if whole:
            # JSON calls 4.0 a whole number, too.
            as_float = abs(number) < 2**53 and random.random() < 0.1
            return float(int(number)) if as_float else int(number)
        return number

    def _text(self, schema: Mapping[str, Any], depth: int) -> str:
        random = self.random
        low: int = schema.get("minLength", 0)
        high: int = schema.get("maxLength", 100_000)
        if pattern := schema.get("pattern"):
            found = [
                text
                for text in (*self._texts, *PATTERNED)
                if low <= len(text) <= high and re.search(pattern, text)
            ]
            if not found:
                raise Unmade(f"no text was found that matches {pattern!r}: an example would help")
            return random.choice(found)
        form = schema.get("format", "")
        if form in FORMATS and random.random() < 0.8:
            return random.choice(FORMATS[form])
        text = random.choice(NASTY_TEXTS) if random.random() < 0.3 else self._word()
        text = text[:high]
        return text + "x" * (low - len(text))

    def _word(self) -> str:
        """Words of the trade: as they are, cut, doubled, joined, or with a sign changed."""
        random = self.random
        if not self._texts:
            return "".join(random.choices("abcxyz 019+-*/=().,", k=random.randint(0, 20)))
        text, other = random.choice(self._texts), random.choice(self._texts)
        at = random.randint(0, len(text))
        twists: Sequence[Callable[[], str]] = (
            lambda: text,
            lambda: text[:at],
            lambda: text[:at] + other[random.randint(0, len(other)) :],
            lambda: text[:at] + random.choice(SIGNS) + text[at + 1 :],
            lambda: f"({text}) {random.choice(('+', '*', '=', 'and', '->', '^'))} ({other})",
        )
        return random.choice(twists)()

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[JSON]:
        random = self.random
        first = schema.get("prefixItems", ())
        low = max(schema.get("minItems", 0), len(first))
        high = schema.get("maxItems", len(first) if schema.get("items") is False else low + 4)
        most = low if depth <= 0 else random.choice((low, min(high, low + 3), high))
        count = random.randint(low, most)
        made: list[JSON] = []
        for at in range(count):
            item = first[at] if at < len(first) else schema.get("items", {})
            value = self.value(item, depth - 1)
            if not (schema.get("uniqueItems") and value in made):
                made.append(value)
        return made

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, JSON]:
        random = self.random
        properties, required = schema.get("properties", {}), schema.get("required", ())
        made = {
            name: self.value(inner, depth - 1)
            for name, inner in properties.items()
            if name in required or (depth > 0 and random.random() < 0.5)
        }
        more = schema.get("additionalProperties", False if properties else {})
        if more is not False and (depth > 0 or schema.get("minProperties")):
            for _ in range(max(schema.get("minProperties", 0), random.randint(0, 3))):
                names = self._keys or ["x", "y", "a b"]
                name = random.choice(names) if random.random() < 0.7 else self._word()[:40]
                made.setdefault(name, self.value(more, depth - 1))
        return made

    def _anything(self, depth: int) -> JSON:
        random = self.random
        kind = random.choice(("null", "boolean", "number", "string", "array", "object"))
        if kind in ("array", "object") and depth <= 0:
            kind = "null"
        inner = {"type": ["number", "string", "null"]}
        schema = {"type": kind, "items": inner, "additionalProperties": inner}
        return self.value(schema, depth - 1)

    _makers: Mapping[Any, Callable[[Sampler, Mapping[str, Any], int], JSON]] = {
        "null": _null,
        "boolean": _boolean,
        "number": _number,
        "integer": _number,
        "string": _text,
        "array": _array,
        "object": _object,
    }


def _inside(value: JSON) -> Iterable[JSON]:
    yield value
    if isinstance(value, list | tuple):
        for item in value:
            yield from _inside(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _inside(item)


def _keys_in(value: JSON) -> Iterable[str]:
    for inner in _inside(value):
        if isinstance(inner, dict):
            yield from inner


def _nests(schema: Mapping[str, Any]) -> bool:
    return "$ref" in schema or schema.get("type") in ("array", "object")
