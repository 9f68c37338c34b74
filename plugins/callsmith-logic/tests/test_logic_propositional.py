"""Propositions: values, tables, forms, and what follows, held against z3 and against each other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsmith_logic import propositional
from callsmith_logic.errors import ContradictoryPremises, FormulaError, LogicError
from callsmith_logic.firstorder import entails
from callsmith_logic.formulas import Atom, Formula, Not, Operation, Truth
from callsmith_logic.grammar import parse
from callsmith_logic.printing import show
from callsmith_logic.propositional import Form, propositions, read, truth_value


def simplify(text: str) -> str:
    return show(propositional.simplify(read(text)))


def normal_form(text: str, form: Form) -> str:
    return show(propositional.normal_form(read(text), form))


def test_a_truth_table_has_a_row_for_each_way_to_be_true() -> None:
    assert propositional.truth_table(read("Dog(rex) xor not q")) == [
        "Dog(rex) | q | Dog(rex) xor not q",
        "T | T | T",
        "T | F | F",
        "F | T | F",
        "F | F | T",
    ]
    with pytest.raises(LogicError, match="7 propositions have too many rows: a truth table takes"):
        propositional.truth_table(read("a or b or c or d or e or f or g"))


def test_formulas_are_simplified_and_put_into_normal_forms() -> None:
    assert simplify("(p and q) or (p and not q)") == "p"
    assert simplify("p and (q or not q)") == "p"
    assert simplify("p or not p") == "true"
    assert simplify("p <-> not p") == "false"
    assert normal_form("p -> q and r", "cnf") == "(q or not p) and (r or not p)"
    assert normal_form("(p or q) and r", "dnf") == "(p and r) or (q and r)"
    assert normal_form("not (p and (q -> r))", "nnf") == "not p or (q and not r)"
    with pytest.raises(LogicError, match="9 propositions are too many to simplify"):
        simplify(" and ".join("abcdefghi"))


def test_what_is_satisfiable_valid_equivalent_or_implied() -> None:
    assert propositional.satisfiable(read("(p or q) and not p")) == {
        Atom("p"): False,
        Atom("q"): True,
    }
    assert propositional.satisfiable(read("p and not p")) is None
    assert propositional.satisfiable(read("true")) == {}
    assert propositional.valid(read("(p -> q) or (q -> p)"))
    assert not propositional.valid(read("p -> q"))
    assert propositional.equivalent(read("not (p and q)"), read("not p or not q"))
    assert not propositional.equivalent(read("p -> q"), read("q -> p"))
    assert propositional.implies([read("p -> q"), read("q -> r")], read("p -> r"))
    assert not propositional.implies([read("p -> q")], read("q"))
    with pytest.raises(ContradictoryPremises):
        propositional.implies([read("p"), read("not p")], read("q"))


def test_what_is_not_propositional_is_refused() -> None:
    for text in ("forall x P(x)", "p and a = b", "not exists x P(x)"):
        with pytest.raises(FormulaError, match="is not propositional: use entails"):
            read(text)
    with pytest.raises(LogicError, match="q has no value"):
        truth_value(read("p and q"), {Atom("p"): False})


ATOMS = st.sampled_from(
    [Atom("p"), Atom("q"), Atom("r"), *(parse(t) for t in ("Dog(rex)", "f(a, b)"))]
)


def operations(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return (
        st.builds(Not, inner)
        | st.builds(Operation, st.sampled_from(["xor", "->", "<->"]), st.tuples(inner, inner))
        | st.builds(Operation, st.sampled_from(["and", "or"]), several)
    )


FORMULAS = st.recursive(ATOMS | st.builds(Truth, st.booleans()), operations, max_leaves=8)


def has_form(formula: Formula, form: str) -> bool:
    """Whether it is a literal, or in the form that it is said to be in."""

    def literal(part: Formula) -> bool:
        return isinstance(part.body if isinstance(part, Not) else part, Atom | Truth)

    def joins(part: Formula, *operators: str) -> bool:
        if literal(part) or not operators:
            return literal(part)
        if isinstance(part, Operation) and part.operator == operators[0]:
            return all(joins(inner, *operators[1:]) for inner in part.parts)
        return joins(part, *operators[1:])

    if form == "nnf":
        own = isinstance(formula, Operation) and formula.operator in ("and", "or")
        return literal(formula) or (own and all(has_form(part, form) for part in formula.parts))
    return joins(formula, *(("and", "or") if form == "cnf" else ("or", "and")))


@settings(max_examples=50)
@given(FORMULAS, st.sampled_from(["cnf", "dnf", "nnf"]))
def test_forms_have_their_form_and_mean_the_same(formula: Formula, form: Form) -> None:
    converted = propositional.normal_form(formula, form)
    assert has_form(converted, form)
    for other in (converted, propositional.simplify(formula)):
        assert entails([], show(Operation("<->", (formula, other)))) == "True"


@given(FORMULAS)
def test_values_tables_and_sympy_agree(formula: Formula) -> None:
    table = [line.endswith("T") for line in propositional.truth_table(formula)[1:]]
    assert len(table) == 2 ** len(propositions(formula))
    assert propositional.valid(formula) == all(table)
    found = propositional.satisfiable(formula)
    assert (found is not None) == any(table)
    if found is not None:
        assert truth_value(formula, found)
