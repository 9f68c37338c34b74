"""A reader of GBNF for tests: whether a grammar admits a text, and texts that it admits.

It knows what `callsmith.gbnf` writes, which is less than all of GBNF. Whether llama.cpp takes the
grammars is tested with llama.cpp.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies as st

Node: TypeAlias = tuple[Any, ...]

TOKEN = re.compile(
    r'\s+|"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\])|([a-z][a-z0-9-]*)|\{(\d+)(,?)(\d*)\}|([|()*?])'
)
LETTERS = "aZ_01259 '\"\\,()[]{}:-+.\nnurxtU\té€😀\u2028\x7f"


class Grammar:
    """A grammar that can be asked what it admits."""

    def __init__(self, text: str) -> None:
        lines = [line.split(" ::= ") for line in text.splitlines() if line]
        self.rules = {name: _Reader(body).alternatives() for name, body in lines}

    def admits(self, text: str) -> bool:
        """Whether the whole text is a sentence of the grammar."""

        @cache
        def ends(node: Node, at: int) -> frozenset[int]:
            """Where a text for this node that begins here can end."""
            match node:
                case ("literal", literal):
                    return frozenset([at + len(literal)] if text.startswith(literal, at) else [])
                case ("class", pattern):
                    return frozenset([at + 1] if re.match(pattern, text[at : at + 1]) else [])
                case ("rule", name):
                    return ends(self.rules[name], at)
                case ("any", *options):
                    return frozenset().union(*(ends(option, at) for option in options))
                case ("all", *parts):
                    places = frozenset([at])
                    for part in parts:
                        places = frozenset().union(*(ends(part, place) for place in places))
                    return places
                case ("repeat", inner, least, most):
                    found, places, times = set[int](), frozenset([at]), 0
                    while places and (most is None or times <= most):
                        found |= places if times >= least else set()
                        places = frozenset().union(*(ends(inner, place) for place in places))
                        times += 1
                    return frozenset(found)
            raise AssertionError(node)

        return len(text) in ends(self.rules["root"], 0)

    def sentences(self) -> st.SearchStrategy[str]:
        """Texts that the grammar admits."""

        @st.composite
        def sentence(draw: st.DrawFn) -> str:
            def write(node: Node, depth: int) -> str:
                match node:
                    case ("literal", literal):
                        return str(literal)
                    case ("class", pattern):
                        return draw(st.sampled_from([c for c in LETTERS if re.match(pattern, c)]))
                    case ("rule", name):
                        return write(self.rules[name], depth + 1)
                    case ("any", *options):
                        # Not ever deeper: what comes first is what can't go on for ever.
                        options = options[:1] if depth > 12 else options
                        return write(draw(st.sampled_from(options)), depth)
                    case ("all", *parts):
                        return "".join(write(part, depth) for part in parts)
                    case ("repeat", inner, least, most):
                        most = least + 3 if most is None else most
                        times = draw(st.integers(least, most))
                        return "".join(write(inner, depth) for _ in range(times))
                raise AssertionError(node)

            return write(self.rules["root"], 0)

        return sentence()


class _Reader:
    """Reads one rule's right hand."""

    def __init__(self, body: str) -> None:
        self.tokens = [token for token in TOKEN.finditer(body) if not token[0].isspace()]
        assert "".join(t[0] for t in TOKEN.finditer(body)) == body, body

    def alternatives(self) -> Node:
        options = [self.sequence()]
        while self.tokens and self.tokens[0][0] == "|":
            self.tokens.pop(0)
            options.append(self.sequence())
        return ("any", *options) if len(options) > 1 else options[0]

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.tokens and self.tokens[0][0] not in ("|", ")"):
            token = self.tokens.pop(0)
            if token[0] == "(":
                parts.append(self.alternatives())
                self.tokens.pop(0)
            elif token[0] == "*":
                parts[-1] = ("repeat", parts[-1], 0, None)
            elif token[0] == "?":
                parts[-1] = ("repeat", parts[-1], 0, 1)
            elif token[4]:
                most = None if token[5] and not token[6] else int(token[6] or token[4])
                parts[-1] = ("repeat", parts[-1], int(token[4]), most)
            elif token[2]:
                parts.append(("class", token[2]))
            elif token[3]:
                parts.append(("rule", token[3]))
            else:
                parts.append(("literal", re.sub(r"\\(.)", _unescape, token[1])))
        return ("all", *parts)


def _unescape(escape: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(escape[1], escape[1])
