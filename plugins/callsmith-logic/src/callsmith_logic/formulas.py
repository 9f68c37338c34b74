"""Formulas of first-order logic with equality, as plain data, and what is asked of their shape.

A name in a term is a variable where a quantifier binds it, and a constant elsewhere: nothing but
its place tells them apart, as in the text of a formula. Propositions are atoms without arguments.
Names may be overloaded by their number of arguments: P(a) and P(a, b) are different predicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal, TypeAlias

MAX_LENGTH = 2_000
"""Characters of a formula's text, of what is read as well as of what is given."""

MAX_DEPTH = 50
"""Formulas within formulas, and terms within terms."""

Operator: TypeAlias = Literal["and", "or", "xor", "->", "<->"]
Quantifier: TypeAlias = Literal["forall", "exists"]


@dataclass(frozen=True, slots=True)
class Term:
    """A constant or variable, or a function of terms."""

    name: str
    args: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true, or false, whatever the rest of the world is like."""

    value: bool


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate of terms, or a proposition if it has none."""

    name: str
    args: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Equal:
    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Not:
    body: Formula


@dataclass(frozen=True, slots=True)
class Operation:
    """``and`` and ``or`` have two or more parts, the other operators exactly two."""

    operator: Operator
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Quantified:
    quantifier: Quantifier
    variable: str
    body: Formula


Formula: TypeAlias = Truth | Atom | Equal | Not | Operation | Quantified


def children(formula: Formula) -> tuple[Formula, ...]:
    """The formulas that a formula is made of."""
    match formula:
        case Not(body) | Quantified(body=body):
            return (body,)
        case Operation(parts=parts):
            return parts
    return ()


def terms(formula: Formula) -> tuple[Term, ...]:
    """The terms of an atom or an equation; other formulas have none of their own."""
    match formula:
        case Atom(args=args):
            return args
        case Equal(left, right):
            return (left, right)
    return ()


def depth(formula: Formula) -> int:
    """The longest way from the whole to a name. Needs no recursion, so any depth can be asked."""
    return max(level for _, level in _parts(formula))


def size(formula: Formula, limit: int) -> int:
    """The number of formulas and terms in it, counted up to one more than the limit."""
    return sum(1 for _ in islice(_parts(formula), limit + 1))


def _parts(formula: Formula) -> Iterator[tuple[Formula | Term, int]]:
    """All that it is made of, itself too, with the depth of each."""
    waiting: list[tuple[Formula | Term, int]] = [(formula, 1)]
    while waiting:
        node, level = waiting.pop()
        yield node, level
        inner = node.args if isinstance(node, Term) else (*children(node), *terms(node))
        waiting += [(part, level + 1) for part in inner]


def free_names(formula: Formula) -> set[str]:
    """The names that stand for things and that no quantifier in the formula binds."""
    match formula:
        case Quantified(_, variable, body):
            return free_names(body) - {variable}
    own = {name for term in terms(formula) for name in _names(term)}
    return own.union(*(free_names(part) for part in children(formula)))


def _names(term: Term) -> Iterator[str]:
    if not term.args:
        yield term.name
    for arg in term.args:
        yield from _names(arg)


# ---- substitution -------------------------------------------------------------------------------


def substitute(formula: Formula, values: Mapping[str, Term]) -> Formula:
    """The formula with terms in the place of free names.

    A quantifier that would bind a name of such a term gets another variable.
    """
    match formula:
        case Atom(name, args):
            return Atom(name, tuple(replace(arg, values) for arg in args))
        case Equal(left, right):
            return Equal(replace(left, values), replace(right, values))
        case Not(body):
            return Not(substitute(body, values))
        case Operation(operator, parts):
            return Operation(operator, tuple(substitute(part, values) for part in parts))
        case Quantified(quantifier, variable, body):
            inner = free_names(body) - {variable}
            kept = {name: term for name, term in values.items() if name in inner}
            coming = {name for term in kept.values() for name in _names(term)}
            if variable in coming:
                fresh = fresh_name(variable, coming | inner)
                kept[variable] = Term(fresh)
                variable = fresh
            return Quantified(quantifier, variable, substitute(body, kept)) if kept else formula
    return formula


def replace(term: Term, values: Mapping[str, Term]) -> Term:
    """The term with other terms in the place of names."""
    if not term.args:
        return values.get(term.name, term)
    return Term(term.name, tuple(replace(arg, values) for arg in term.args))


def fresh_name(name: str, taken: Iterable[str]) -> str:
    """The name with the first number that makes it none of those taken."""
    base, used = name.rstrip("0123456789") or "x", set(taken)
    return next(new for number in count(1) if (new := f"{base}{number}") not in used)


# ---- comparison ---------------------------------------------------------------------------------


def same(a: Formula, b: Formula) -> bool:
    """Whether two formulas are the same but for the names of bound variables, and for brackets
    within chains of one operator where they make no difference."""
    return canonical(a) == canonical(b)


def canonical(formula: Formula) -> Formula:
    """The formula with its bound variables numbered, and ``and`` in ``and``, ``or`` in ``or``
    flattened. The variables' names then start with a colon, which no formula in text has."""
    return _canonical(formula, {}, 0)


def _canonical(formula: Formula, bound: Mapping[str, Term], level: int) -> Formula:
    match formula:
        case Not(body):
            return Not(_canonical(body, bound, level))
        case Operation(operator, parts):
            inner = [_canonical(part, bound, level) for part in parts]
            if operator in ("and", "or"):
                return joined(operator, inner)
            return Operation(operator, tuple(inner))
        case Quantified(quantifier, variable, body):
            name = f":{level}"
            deeper = {**bound, variable: Term(name)}
            return Quantified(quantifier, name, _canonical(body, deeper, level + 1))
    return substitute(formula, bound)


def joined(operator: Operator, parts: Iterable[Formula]) -> Formula:
    """The parts as one ``and`` or ``or``: those that are one already are taken apart."""
    flat: list[Formula] = []
    for part in parts:
        if isinstance(part, Operation) and part.operator == operator:
            flat += part.parts
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else Operation(operator, tuple(flat))


def negated(formula: Formula) -> Formula:
    """The negation, without a double ``not``."""
    match formula:
        case Not(body):
            return body
        case Truth(value):
            return Truth(not value)
    return Not(formula)


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """The parts of an ``and``, flattened; the formula itself if it is none."""
    match formula:
        case Operation("and", parts):
            return tuple(inner for part in parts for inner in conjuncts(part))
    return (formula,)
