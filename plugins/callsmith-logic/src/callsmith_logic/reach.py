"""How far quantifiers reach, as the brackets that they imply.

A quantifier reaches over the operand that follows it: ``∀x Dog(x)``, ``∀x (...)``. It reaches to
the end of the bracket that it stands in if a dot, colon or comma follows its variable, or if the
variable is used again there, which is what people mean by ``∀x Dog(x) → Animal(x)``.

Works on the words of a formula between lexer and parser, so that the grammar stays a plain one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lark import Token

from callsmith_logic.formulas import MAX_DEPTH, Quantifier


class Wrong(Exception):
    """What is wrong with a formula, and the position in its text."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


def read_binder(word: str) -> tuple[Quantifier, list[str]]:
    """The quantifier and the variables of a word such as ``forall x, y.``"""
    sign, *names = re.findall(r"[∀∃]|[^\s∀∃(),.:]+", word)
    if names[1:] and sign.lower() in ("for", "there"):
        sign, *names = names
    return "exists" if sign.lower() in ("∃", "exists", "some") else "forall", names


class Reach:
    """What lark calls a postlexer. Raises Wrong for brackets without their partners."""

    always_accept = ()

    def process(self, stream: Iterable[Token]) -> Iterator[Token]:
        words = list(stream)
        opened, closed = _implied(words)
        for place, word in enumerate(words):
            for _ in range(closed.get(place, 0)):
                yield Token("RPAR", ")", word.start_pos)
            for _ in range(opened.get(place, 0)):
                yield Token("LPAR", "(", word.start_pos)
            yield word
        for _ in range(closed.get(len(words), 0)):
            yield Token("RPAR", ")")


def _implied(words: Sequence[Token]) -> tuple[Counter[int], Counter[int]]:
    """How many brackets open, and how many close, before each word."""
    opened: Counter[int] = Counter()
    closed: Counter[int] = Counter()
    partners, around = _brackets(words)
    ends: dict[int, int] = {}
    # From the right: where the quantifiers within a formula end has to be known before.
    for place in reversed(around):
        end = _operand_end(words, place + 1, partners, ends)
        names = read_binder(words[place])[1]
        last = around[place]
        if words[place][-1] in ".:," or any(_is_used(n, words, end, last, ends) for n in names):
            opened[place + 1] += 1
            closed[last] += 1
            end = last
        ends[place] = end
    return opened, closed


def _brackets(words: Sequence[Token]) -> tuple[dict[int, int], dict[int, int]]:
    """The places of closing brackets by those of opening ones; and by each quantifier's place, in
    order, the end of the bracket that it stands in."""
    partners: dict[int, int] = {}
    around: dict[int, int] = {}
    stack: list[int] = []
    for place, word in enumerate(words):
        if word.type == "BINDER":
            around[place] = stack[-1] if stack else -1
        elif word.type == "LPAR":
            stack.append(place)
            if len(stack) > MAX_DEPTH:
                what = f"brackets are nested more than {MAX_DEPTH} deep: write it in parts"
                raise Wrong(what, word.start_pos or 0)
        elif word.type == "RPAR":
            if not stack:
                raise Wrong("there is no ( for this )", word.start_pos or 0)
            partners[stack.pop()] = place
    if stack:
        raise Wrong("there is no ) for this (", words[stack[-1]].start_pos or 0)
    stopped = bool(words) and words[-1].type == "_FULL_STOP"
    partners[-1] = len(words) - stopped
    return partners, {place: partners[bracket] for place, bracket in around.items()}


def _operand_end(
    words: Sequence[Token], place: int, partners: Mapping[int, int], ends: Mapping[int, int]
) -> int:
    """Where the operand ends that begins at a place; whether it is one is the parser's to say."""

    def kind(place: int) -> str:
        return words[place].type if place < len(words) else ""

    def application_end(place: int) -> int:
        return partners[place + 1] + 1 if kind(place + 1) == "LPAR" else place + 1

    while kind(place) == "_NOT":
        place += 1
    if kind(place) == "BINDER":
        return ends[place]
    if kind(place) == "LPAR":
        return partners[place] + 1
    place = application_end(place)
    return application_end(place + 1) if kind(place) in ("_EQUAL", "_UNEQUAL") else place


def _is_used(
    name: str, words: Sequence[Token], place: int, end: int, ends: Mapping[int, int]
) -> bool:
    """Whether a variable is used between two places, other than where it is bound anew."""
    while place < end:
        word = words[place]
        if word.type == "BINDER" and name in read_binder(word)[1]:
            place = ends[place]
        elif word.type == "NAME" and word == name and words[place + 1 : place + 2] != ["("]:
            return True
        else:
            place += 1
    return False
