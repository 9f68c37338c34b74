"""Reading formulas. The grammar is in `grammar.lark`; this file bounds it, and explains mistakes.

Any text is answered at once: what is longer than `MAX_LENGTH` or nested deeper than `MAX_DEPTH` is
refused, and nothing that is written is ever evaluated. How far a quantifier reaches is `reach`'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from callsmith_logic.errors import FormulaError
from callsmith_logic.formulas import (
    MAX_DEPTH,
    MAX_LENGTH,
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Operator,
    Quantified,
    Term,
    Truth,
    depth,
    free_names,
)
from callsmith_logic.reach import Reach, Wrong, read_binder

_QUANTIFIER = re.compile(r"[∀∃]|\w+")
_VARIABLE = re.compile(r"[u-z][0-9]?")
_BRACKETS = str.maketrans("[]", "()")


@lru_cache(maxsize=4096)
def parse(text: str) -> Formula:
    """The formula in a text. Raises FormulaError, and nothing else, for any text."""
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"the formula has {len(text):,} characters: at most {MAX_LENGTH:,} can be read"
        )
    if not text.strip():
        raise FormulaError("the formula is empty: write one such as forall x (Dog(x) -> Animal(x))")
    try:
        formula: Any = _parser().parse(text.translate(_BRACKETS))
    except Wrong as error:
        raise FormulaError(error.what, text, error.position) from None
    except UnexpectedCharacters as error:
        place = error.pos_in_stream
        raise FormulaError(_meaningless(text, place), text, place) from None
    except UnexpectedToken as error:
        # The end of the text has no place of its own.
        place = len(text.rstrip()) if error.token.type == "$END" else error.token.start_pos or 0
        raise FormulaError(_unexpected(error), text, place) from None
    if depth(formula) > MAX_DEPTH:
        raise FormulaError(f"the formula is nested more than {MAX_DEPTH} deep: write it in parts")
    return formula  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def statement(text: str) -> Formula:
    """The formula in a text that is true or false. Raises FormulaError.

    It is refused if a letter from u to z is used without its quantifier, which is a mistake more
    often than the name of a thing.
    """
    formula = parse(text)
    _check_names(free_names(formula), text)
    return formula


def parse_term(text: str) -> Term:
    """The term in a text: a name of a thing, or a function of terms. Raises FormulaError."""
    formula = parse(text)
    if not isinstance(formula, Atom):
        raise FormulaError(f"{text[:60]!r} is no name for a thing: write rina or mother(rina), say")
    _check_names(free_names(Equal(term := Term(formula.name, formula.args), term)), text)
    return term


def _check_names(names: Collection[str], text: str) -> None:
    for name in sorted(names):
        if _VARIABLE.fullmatch(name):
            place = re.search(rf"\b{name}\b", text)
            raise FormulaError(
                f"{name} has no quantifier: put forall {name} (...) around it, or give the thing "
                "a longer name",
                text,
                place.start() if place else 0,
            )


def _meaningless(text: str, place: int) -> str:
    """What is wrong with characters that begin no word."""
    if quantifier := _QUANTIFIER.match(text, place):
        return f"{quantifier[0]!r} needs a variable after it: write {quantifier[0]} x (...)"
    character = text[place]
    if character in "<>≤≥*/%":
        return f"{character!r} has no meaning here: write a predicate such as Greater(x, y)"
    if character in "\"“”`'’":
        return f"{character!r} has no meaning here: write names without quotation marks"
    return f"{character!r} has no meaning here"


def _unexpected(error: UnexpectedToken) -> str:
    """What is wrong with a word that can't stand where it does."""
    word, kind = error.token.strip(), error.token.type
    possible = error.interactive_parser.accepts()
    if kind == "$END":
        return "something is missing at the end"
    if possible == {"$END"} or kind == "_FULL_STOP":
        return "a full stop can only end the formula: give one formula at a time"
    if "NAME" in possible:
        missing = "a formula" if "BINDER" in possible else "a name"
        return f"{missing} is missing before {word!r}"
    if kind == "NAME":
        return f"{word!r} follows without an operator: a name is one word, as captain_america"
    if "COMMA" in possible:
        return f"{word!r} can't stand here: arguments are names, not formulas"
    if kind == "COMMA":
        return "a comma can only stand between the arguments of a predicate"
    return f"an operator such as and is missing before {word!r}"


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        lexer="basic",
        postlex=Reach(),
        transformer=_Builder(),
        maybe_placeholders=False,
    )


class _Builder(Transformer[Token, Formula]):
    """Called by the parser as it goes, from the inside out: lark makes no tree of its own."""

    def start(self, parts: Sequence[Formula]) -> Formula:
        return parts[0]

    def true(self, _: object) -> Formula:
        return Truth(True)

    def false(self, _: object) -> Formula:
        return Truth(False)

    def application(self, parts: Sequence[Any]) -> Term:
        return Term(str(parts[0]), tuple(parts[1:]))

    def atom(self, parts: Sequence[Term]) -> Formula:
        return Atom(parts[0].name, parts[0].args)

    def equation(self, parts: Sequence[Term]) -> Formula:
        return Equal(*parts)

    def inequation(self, parts: Sequence[Term]) -> Formula:
        return Not(Equal(*parts))

    def negation(self, parts: Sequence[Formula]) -> Formula:
        return Not(parts[0])

    def quantified(self, parts: Sequence[Any]) -> Formula:
        binder, formula = parts
        quantifier, names = read_binder(binder)
        for name in reversed(names):
            formula = Quantified(quantifier, name, formula)
        return formula  # type: ignore[no-any-return]

    def all(self, parts: Sequence[Formula]) -> Formula:
        return _operation("and", parts)

    def any(self, parts: Sequence[Formula]) -> Formula:
        return _operation("or", parts)

    def xor(self, parts: Sequence[Formula]) -> Formula:
        return _operation("xor", parts)

    def implies(self, parts: Sequence[Formula]) -> Formula:
        return _operation("->", parts)

    def iff(self, parts: Sequence[Formula]) -> Formula:
        return _operation("<->", parts)


def _operation(operator: Operator, parts: Sequence[Formula]) -> Formula:
    return Operation(operator, tuple(parts))
