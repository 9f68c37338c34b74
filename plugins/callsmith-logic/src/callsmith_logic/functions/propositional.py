"""Formulas of propositions, which are just true or false: values, tables, forms, what follows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callsmith.functions import function
from callsmith_logic import propositional
from callsmith_logic.errors import LogicError
from callsmith_logic.formulas import Atom
from callsmith_logic.grammar import parse
from callsmith_logic.printing import show, show_result

TIMEOUT = 10.0
"""Seconds for a call: a worker's first one spends a second or two on importing sympy."""

MEMORY_MB = 512


@function(
    examples=[{"formula": "p -> q and not r", "values": {"p": True, "q": True, "r": False}}],
    inline=True,
)
def truth_value(formula: str, values: dict[str, bool]) -> bool:
    """Say whether a formula is true with these values of its propositions."""
    given: dict[Atom, bool] = {}
    for name, value in values.items():
        atom = parse(name)
        if not isinstance(atom, Atom):
            raise LogicError(f"{name[:60]!r} is no proposition: give values to p or Dog(rex), say")
        given[atom] = value
    return propositional.truth_value(propositional.read(formula), given)


@function(examples=[{"formula": "p -> q"}], timeout=TIMEOUT, memory_mb=MEMORY_MB)
def truth_table(formula: str) -> list[str]:
    """Write the truth table of a formula with up to 6 propositions: true is T, false is F."""
    return propositional.truth_table(propositional.read(formula))


@function(examples=[{"formula": "(p and q) or (p and not q)"}], timeout=TIMEOUT)
def simplify(formula: str) -> str:
    """Write a formula of up to 8 propositions as simply as possible."""
    return show_result(propositional.simplify(propositional.read(formula)))


@function(
    examples=[{"formula": "p <-> q", "form": "cnf"}, {"formula": "not (p -> q)", "form": "nnf"}],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def normal_form(formula: str, form: propositional.Form) -> str:
    """Write a formula in conjunctive (cnf), disjunctive (dnf) or negation (nnf) normal form."""
    return show_result(propositional.normal_form(propositional.read(formula), form))


@function(
    examples=[{"formula": "(p or q) and not q"}, {"formula": "p and not p"}],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def satisfiable(formula: str) -> dict[str, bool] | bool:
    """Find values of the propositions that make a formula true. Gives false if there are none."""
    found = propositional.satisfiable(propositional.read(formula))
    return False if found is None else {show(atom): value for atom, value in found.items()}


@function(examples=[{"formula": "p or not p"}], timeout=TIMEOUT, memory_mb=MEMORY_MB)
def valid(formula: str) -> bool:
    """Say whether a formula is true whatever its propositions are."""
    return propositional.valid(propositional.read(formula))


@function(examples=[{"a": "p -> q", "b": "not q -> not p"}], timeout=TIMEOUT, memory_mb=MEMORY_MB)
def equivalent(a: str, b: str) -> bool:
    """Say whether two formulas are true and false together, whatever their propositions are."""
    return propositional.equivalent(propositional.read(a), propositional.read(b))


@function(
    examples=[{"premises": ["p or q", "not p"], "conclusion": "q"}],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def implies(
    premises: Annotated[list[str], Field(min_length=1, max_length=50)], conclusion: str
) -> bool:
    """Say whether a conclusion is true wherever all premises are. For formulas of propositions."""
    given = [propositional.read(premise) for premise in premises]
    return propositional.implies(given, propositional.read(conclusion))
