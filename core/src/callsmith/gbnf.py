"""Grammars in GBNF, llama.cpp's notation, of calls as text: ``name(arg=value)``.

What they admit is what Python writes (`functions.format_call`), and `reading` reads to its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from callsmith.chain import JSON
from callsmith.values import MAX_DEPTH

_SCALARS = r"""
number ::= integer ("." [0-9]{1,24})? | "-"? [0-9] ("." [0-9]{1,16})? "e" exponent
integer ::= "-"? ("0" | [1-9] [0-9]{0,39})
exponent ::= "+"? [12]? [0-9]{1,2} | "-" [0-9]{1,3}
boolean ::= "True" | "False"
null ::= "None"
string ::= "'" ([^'\\\x00-\x1F\x7F] | escape)* "'" | "\"" ([^"\\\x00-\x1F\x7F] | escape)* "\""
escape ::= "\\" ([\\'"nrt] | "x" hex{2} | "u" hex{4} | "U" hex{8})
hex ::= [0-9a-fA-F]
comma ::= "," " "?
colon ::= ":" " "?
"""


def write_grammar(arguments: Mapping[str, Mapping[str, JSON]], defs: Mapping[str, JSON]) -> str:
    """The grammar of one call, of the functions whose ``arguments`` have these schemas.

    The schemas have the few keywords that `constraints` keeps; what they refer to is in ``defs``.
    """
    grammar = _Grammar(defs)
    calls = [
        grammar.rule("call", f"{_quote(name + '(')} {inner} {_quote(')')}")
        for name, schema in arguments.items()
        if (inner := grammar.members(schema, MAX_DEPTH, _keyword)) is not None
    ]
    return "\n".join([f"root ::= {' | '.join(calls)}", *grammar.rules.values(), _SCALARS])


class _Grammar:
    """Rules for values as Python writes them, each once.

    Brackets within brackets are counted down, since `reading` takes no more than MAX_DEPTH of them;
    so types that hold themselves have rules of their own for each depth.
    """

    def __init__(self, defs: Mapping[str, Any]) -> None:
        self.defs = defs
        self.rules: dict[str, str] = {}
        """By what stands on their right hand."""
        self._values: dict[tuple[str, int], str | None] = {}

    def rule(self, kind: str, body: str) -> str:
        """The name of the rule with this body."""
        made = self.rules.setdefault(body, f"{kind}-{len(self.rules)} ::= {body}")
        return made.partition(" ")[0]

    def value(self, schema: Mapping[str, Any], depth: int) -> str | None:
        """A value with at most ``depth`` brackets within each other, None if there is none."""
        if "$ref" in schema:
            return self.value(self.defs[schema["$ref"].rpartition("/")[2]], depth)
        key = json.dumps(schema), depth
        if key not in self._values:
            self._values[key] = self._value(schema, depth)
        return self._values[key]

    def _value(self, schema: Mapping[str, Any], depth: int) -> str | None:
        if "enum" in schema:
            return self.rule("listed", " | ".join(_quote(repr(value)) for value in schema["enum"]))
        if "anyOf" in schema:
            options = [self.value(option, depth) for option in schema["anyOf"]]
            return self.rule("choice", " | ".join(filter(None, options))) if any(options) else None
        kind = schema["type"]
        if kind not in ("array", "object"):
            return str(kind)
        if not depth:
            return None
        inside = (self._items if kind == "array" else self._entries)(schema, depth - 1)
        marks = "[]" if kind == "array" else "{}"
        if inside is None:
            return None
        return self.rule(kind, f"{_quote(marks[0])} {inside} {_quote(marks[1])}")

    def _items(self, schema: Mapping[str, Any], depth: int) -> str | None:
        if "prefixItems" in schema:
            parts = [self.value(part, depth) for part in schema["prefixItems"]]
            return None if None in parts else " comma ".join(filter(None, parts))
        return _repeated(
            self.value(schema["items"], depth), schema.get("minItems", 0), schema.get("maxItems")
        )

    def _entries(self, schema: Mapping[str, Any], depth: int) -> str | None:
        if "properties" in schema:
            return self.members(schema, depth, _key)
        value = self.value(schema["additionalProperties"], depth)
        return _repeated(value and f"string colon {value}", 0, None)

    def members(
        self, schema: Mapping[str, Any], depth: int, label: Callable[[str], str]
    ) -> str | None:
        """What an object holds, in order; what it need not hold may be left out."""
        parts: list[tuple[str, bool]] = []
        for name, part in schema["properties"].items():
            value, needed = self.value(part, depth), name in schema["required"]
            if value is not None:
                parts.append((f"{label(name)} {value}", needed))
            elif needed:
                return None
        starts = []
        for index, (first, needed) in enumerate(parts):
            rest = [f"comma {p}" if n else f"(comma {p})?" for p, n in parts[index + 1 :]]
            starts.append(" ".join([first, *rest]))
            if needed:
                return f"({' | '.join(starts)})"
        return f"({' | '.join(starts)})?" if starts else ""


def _repeated(item: str | None, least: int, most: int | None) -> str | None:
    """Items with commas between them, from ``least`` to ``most``."""
    if item is None or most == 0:
        return None if least else ""
    times = f"{{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
    items = f"{item} (comma {item}){'*' if times == '{0,}' else times}"
    return items if least else f"({items})?"


def _keyword(name: str) -> str:
    return _quote(f"{name}=")


def _key(name: str) -> str:
    return f"{_quote(repr(name))} colon"


def _quote(text: str) -> str:
    """The text as a literal of GBNF."""
    for plain, escaped in ("\\", r"\\"), ('"', r"\""), ("\n", r"\n"), ("\r", r"\r"):
        text = text.replace(plain, escaped)
    return f'"{text}"'
