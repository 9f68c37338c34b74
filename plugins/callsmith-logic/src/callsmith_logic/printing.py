"""Formulas as text, in one notation that reads back as the same formula.

``forall x (Dog(x) and not Cat(x) -> Animal(x))``: words that a model knows, and
brackets where a reader wants them, not only where the grammar needs them.
"""

from __future__ import annotations

from callsmith_logic.errors import LogicError
from callsmith_logic.formulas import (
    MAX_LENGTH,
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Quantified,
    Term,
    Truth,
)


def show(formula: Formula) -> str:
    """The formula as text; `grammar.parse` gives the same formula back."""
    match formula:
        case Truth(value):
            return "true" if value else "false"
        case Atom(name, args):
            return show_term(Term(name, args))
        case Equal(left, right):
            return f"{show_term(left)} = {show_term(right)}"
        case Not(Equal(left, right)):
            return f"{show_term(left)} != {show_term(right)}"
        case Not(body):
            return f"not {_operand(body)}"
        case Quantified(quantifier, variable, body):
            # A bare name after a variable would be read as one more variable.
            is_name = isinstance(body, Atom) and not body.args
            return f"{quantifier} {variable} {f'({show(body)})' if is_name else _operand(body)}"
        case Operation(operator, parts):
            return f" {operator} ".join(_part(part, operator) for part in parts)


def show_result(formula: Formula) -> str:
    """The formula as text. Raises LogicError if it is too long to be read back."""
    text = show(formula)
    if len(text) > MAX_LENGTH:
        raise LogicError(
            f"the result has {len(text):,} characters: at most {MAX_LENGTH:,} can be read back,"
            " so take it in parts"
        )
    return text


def show_term(term: Term) -> str:
    """The term as text."""
    inner = ", ".join(show_term(arg) for arg in term.args)
    return f"{term.name}({inner})" if term.args else term.name


def _operand(formula: Formula) -> str:
    """In brackets, if more than one word of it must be held together."""
    bare = isinstance(formula, Truth | Atom | Not | Quantified) and not _is_equation(formula)
    return show(formula) if bare else f"({show(formula)})"


def _part(formula: Formula, operator: str) -> str:
    """As a part of an operation: without brackets if it clearly binds more tightly."""
    if isinstance(formula, Operation):
        bare = operator in ("->", "<->") and formula.operator not in ("->", "<->")
    else:
        # A quantifier would be read as reaching over the parts that follow it.
        bare = not _ends_with_quantifier(formula)
    return show(formula) if bare else f"({show(formula)})"


def _ends_with_quantifier(formula: Formula) -> bool:
    if isinstance(formula, Not):
        return _ends_with_quantifier(formula.body)
    return isinstance(formula, Quantified)


def _is_equation(formula: Formula) -> bool:
    return isinstance(formula, Equal) or (
        isinstance(formula, Not) and isinstance(formula.body, Equal)
    )
