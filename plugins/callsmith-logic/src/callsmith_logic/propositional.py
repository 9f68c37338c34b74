"""Propositional logic: what can be said of a formula whose atoms are just true or false.

Atoms without variables, Dog(rex) say, are propositions like any other. sympy is given objects built
from our own data, never a text. Building is bounded; what sympy then does is not, so the functions
that use it run in a worker process with a time limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

from callsmith_logic.errors import ContradictoryPremises, FormulaError, LogicError
from callsmith_logic.formulas import (
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Quantified,
    Truth,
    children,
    joined,
    negated,
)
from callsmith_logic.grammar import statement
from callsmith_logic.printing import show

Form: TypeAlias = Literal["cnf", "dnf", "nnf"]
"""Conjunctive, disjunctive and negation normal form."""

MAX_TABLE = 6
"""Propositions of a truth table: it has a row for each way they can be true and false."""

MAX_SIMPLIFIED = 8
"""Propositions of a formula that sympy makes as short as can be."""

_Expression: TypeAlias = Any
"""A sympy object. Any, since importing sympy takes longer than everything else here."""


def read(text: str) -> Formula:
    """The propositional formula in a text. Raises FormulaError, for a quantifier too."""
    formula = statement(text)
    _check(formula)
    return formula


def propositions(*formulas: Formula) -> list[Atom]:
    """The different propositions in some formulas, in the order in which they come first."""
    found: dict[Atom, None] = {}
    for formula in formulas:
        found.update(dict.fromkeys(_atoms(formula)))
    return list(found)


def truth_value(formula: Formula, values: Mapping[Atom, bool]) -> bool:
    """Whether the formula is true. Raises LogicError for a proposition without a value."""
    match formula:
        case Atom():
            if formula not in values:
                raise LogicError(f"{show(formula)} has no value: give one, true or false, for each")
            return values[formula]
        case Truth(value):
            return value
        case Not(body):
            return not truth_value(body, values)
        case Operation(operator, parts):
            # Every part is asked for its value, so that no missing one goes unnoticed.
            first, *others = [truth_value(part, values) for part in parts]
            match operator:
                case "and":
                    return all((first, *others))
                case "or":
                    return any((first, *others))
                case "xor":
                    return first != others[0]
                case "->":
                    return not first or others[0]
                case "<->":
                    return first == others[0]
    raise _no_proposition(formula)


def truth_table(formula: Formula) -> list[str]:
    """A line of names, and one for each way the propositions can be true (T) or false (F)."""
    atoms = propositions(formula)
    if len(atoms) > MAX_TABLE:
        raise LogicError(
            f"{len(atoms)} propositions have too many rows: a truth table takes at most {MAX_TABLE}"
        )
    lines = [" | ".join([*map(show, atoms), show(formula)])]
    for row in product((True, False), repeat=len(atoms)):
        value = truth_value(formula, dict(zip(atoms, row, strict=True)))
        lines.append(" | ".join("T" if each else "F" for each in (*row, value)))
    return lines


# ---- sympy --------------------------------------------------------------------------------------


def simplify(formula: Formula) -> Formula:
    """An equivalent formula, as short as possible. Raises LogicError for too many propositions."""
    from sympy.logic.boolalg import simplify_logic

    atoms = propositions(formula)
    if len(atoms) > MAX_SIMPLIFIED:
        raise LogicError(
            f"{len(atoms)} propositions are too many to simplify: at most {MAX_SIMPLIFIED},"
            " so take it in parts"
        )
    symbols = _symbols(atoms)
    found = from_sympy(simplify_logic(to_sympy(formula, symbols)), symbols)
    # sympy looks among and, or and not alone: p xor q is not made simpler by that.
    return min(formula, found, key=lambda candidate: len(show(candidate)))


def normal_form(formula: Formula, form: Form) -> Formula:
    """An equivalent formula in that form, as short as possible up to `MAX_SIMPLIFIED`."""
    from sympy.logic import boolalg

    symbols = _symbols(propositions(formula))
    expression = to_sympy(formula, symbols)
    if form == "nnf":
        return from_sympy(boolalg.to_nnf(expression), symbols)
    convert = boolalg.to_cnf if form == "cnf" else boolalg.to_dnf
    return from_sympy(convert(expression, simplify=len(symbols) <= MAX_SIMPLIFIED), symbols)


def satisfiable(formula: Formula) -> dict[Atom, bool] | None:
    """Values of its propositions that make the formula true; None if there are none."""
    from sympy.logic.inference import satisfiable as find

    symbols = _symbols(propositions(formula))
    # By name, since sympy would take another one where the library for that happens to be there.
    found = find(to_sympy(formula, symbols), algorithm="dpll2")
    if found is False:
        return None
    # A proposition that does not matter has no value, and gets one.
    return {atom: bool(found.get(symbol, False)) for atom, symbol in symbols.items()}


def valid(formula: Formula) -> bool:
    """Whether the formula is true whatever its propositions are."""
    return satisfiable(negated(formula)) is None


def equivalent(a: Formula, b: Formula) -> bool:
    """Whether the formulas are true and false together."""
    return valid(Operation("<->", (a, b)))


def implies(premises: Sequence[Formula], conclusion: Formula) -> bool:
    """Whether the conclusion is true wherever the premises are. Raises ContradictoryPremises."""
    given = joined("and", premises) if premises else Truth(True)
    if satisfiable(given) is None:
        raise ContradictoryPremises(
            "the premises contradict each other, so nothing can be concluded from them"
        )
    return satisfiable(Operation("and", (given, negated(conclusion)))) is None


def _check(formula: Formula) -> None:
    if isinstance(formula, Quantified | Equal):
        raise _no_proposition(formula)
    for part in children(formula):
        _check(part)


def _no_proposition(formula: Formula) -> FormulaError:
    return FormulaError(
        f"{show(formula)} is not propositional: use entails for formulas with quantifiers or ="
    )


def _atoms(formula: Formula) -> Iterator[Atom]:
    if isinstance(formula, Atom):
        yield formula
    for part in children(formula):
        yield from _atoms(part)


def _symbols(atoms: Sequence[Atom]) -> dict[Atom, _Expression]:
    """A symbol for each, with names that sort as the atoms stand."""
    from sympy import Symbol

    return {atom: Symbol(f"p{number:04}") for number, atom in enumerate(atoms)}


def to_sympy(formula: Formula, symbols: Mapping[Atom, _Expression]) -> _Expression:
    """The formula as sympy has it. Raises FormulaError for one that is not propositional."""
    from sympy.logic import boolalg

    operators = {
        "and": boolalg.And,
        "or": boolalg.Or,
        "xor": boolalg.Xor,
        "->": boolalg.Implies,
        "<->": boolalg.Equivalent,
    }
    match formula:
        case Atom():
            return symbols[formula]
        case Truth(value):
            return boolalg.true if value else boolalg.false
        case Not(body):
            return boolalg.Not(to_sympy(body, symbols))
        case Operation(operator, parts):
            return operators[operator](*(to_sympy(part, symbols) for part in parts))
    raise _no_proposition(formula)


def from_sympy(expression: _Expression, symbols: Mapping[Atom, _Expression]) -> Formula:
    """What sympy gave, as a formula."""
    atoms = {symbol: atom for atom, symbol in symbols.items()}

    def convert(node: _Expression) -> Formula:
        if node in atoms:
            return atoms[node]
        parts = [convert(arg) for arg in node.args]
        match type(node).__name__:
            case "BooleanTrue":
                return Truth(True)
            case "BooleanFalse":
                return Truth(False)
            case "Not":
                return Not(parts[0])
            case "Implies":
                return Operation("->", (parts[0], parts[1]))
            case "And":
                return joined("and", parts)
            case "Or":
                return joined("or", parts)
        # xor and <-> of many: sympy writes in a list what we write pair by pair.
        operator: Literal["xor", "<->"] = "xor" if type(node).__name__ == "Xor" else "<->"
        whole = parts[0]
        for part in parts[1:]:
            whole = Operation(operator, (whole, part))
        return whole

    return convert(expression)
