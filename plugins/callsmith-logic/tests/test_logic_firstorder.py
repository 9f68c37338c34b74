"""What follows from what, and worlds that show it: proven, or an error, and never a guess."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import callsmith_logic
from callsmith_logic.errors import (
    ContradictoryPremises,
    FormulaError,
    SolverTimeout,
)
from callsmith_logic.firstorder import consistent, counter_model, entails, unsupported
from callsmith_logic.formulas import Atom, Equal, Formula, Not, Operation, Quantified, Term, Truth
from callsmith_logic.models import World
from callsmith_logic.printing import show

DOGS = ["forall x (Dog(x) -> Animal(x))", "Dog(rex)"]

PATIENCE = 60.0
"""Seconds: a busy machine is no failure, and the solver's own count of steps ends each question."""

SUCCESSOR = ["forall x (s(x) != zero)", "forall x forall y (s(x) = s(y) -> x = y)"]
"""True in infinite worlds only."""

GROUP = [
    "forall x, y, z (m(x, m(y, z)) = m(m(x, y), z))",
    "forall x (m(e, x) = x)",
    "forall x (m(i(x), x) = e)",
]


@pytest.mark.parametrize(
    ("premises", "conclusion", "label"),
    [
        (DOGS, "Animal(rex)", "True"),
        (DOGS, "not Animal(rex)", "False"),
        (DOGS, "Animal(tom)", "Unknown"),
        (DOGS, "exists x Animal(x)", "True"),
        (["Dog(rex) or Cat(rex)", "not Dog(rex)"], "Cat(rex)", "True"),
        (["p ⊕ q", "p"], "q", "False"),
        (["forall x exists y Loves(x, y)"], "exists y forall x Loves(x, y)", "Unknown"),
        (["exists y forall x Loves(x, y)"], "forall x exists y Loves(x, y)", "True"),
        (["a = b", "P(a)"], "P(b)", "True"),
        (["a = b"], "mother(a) = mother(b)", "True"),
        (["Only(a)", "forall x (Only(x) -> x = a)"], "Only(b)", "Unknown"),
        ([], "exists x (P(x) or not P(x))", "True"),
        ([], "true", "True"),
        ([*GROUP, "forall x (m(x, x) = e)"], "forall x, y (m(x, y) = m(y, x))", "True"),
        # Shown only by a world with six things: the smallest group where order matters.
        (GROUP, "forall x, y (m(x, y) = m(y, x))", "Unknown"),
        ("Dog(rex)", "Dog(rex)", "True"),
    ],
)
def test_a_conclusion_is_true_false_or_unknown(premises: Any, conclusion: str, label: str) -> None:
    assert callsmith_logic.entails(premises, conclusion, timeout=PATIENCE) == label


def test_contradictory_premises_are_no_answer_and_are_named() -> None:
    premises = ["Cat(tom)", *DOGS, "not Animal(rex)"]
    with pytest.raises(ContradictoryPremises) as caught:
        entails(premises, "Cat(tom)")
    assert str(caught.value) == (
        "the premises contradict each other, so nothing can be concluded: "
        "forall x (Dog(x) -> Animal(x)); Dog(rex); not Animal(rex)"
    )
    with pytest.raises(ContradictoryPremises):
        counter_model(premises, "Cat(rex)")
    assert consistent(premises) is False
    assert consistent(premises[:-1]) is True


@pytest.mark.parametrize("conclusion", ["P(a)", "not P(a)"])
def test_what_can_not_be_decided_is_a_time_out_and_no_label(conclusion: str) -> None:
    with pytest.raises(SolverTimeout, match="could not be decided within the limits"):
        entails(SUCCESSOR, conclusion, timeout=PATIENCE)


def test_a_time_limit_is_kept_whatever_is_asked() -> None:
    pigeons = [
        *(" or ".join(f"In({p}, {h})" for h in range(12)) for p in range(13)),
        *(
            f"not In({p}, {h}) or not In({q}, {h})"
            for h in range(12)
            for p in range(13)
            for q in range(p)
        ),
    ]
    with pytest.raises(SolverTimeout):
        entails(pigeons, "p", timeout=0.3)


@pytest.mark.parametrize(
    ("premises", "conclusion", "reason"),
    [
        (["Dog(rex"], "Dog(rex)", r"there is no \) for this \("),
        (["Dog(x)"], "Dog(rex)", "x has no quantifier"),
        (["Dog(rex)"], "Dog(rex, tom)", "Dog is used with 1 and with 2 arguments"),
        (["P(f(a)) and P(f)"], "P(a)", "f is used with 1 and with 0 arguments"),
    ],
)
def test_malformed_formulas_are_refused(premises: list[str], conclusion: str, reason: str) -> None:
    with pytest.raises(FormulaError, match=reason):
        entails(premises, conclusion)


def test_a_proof_is_supported_step_by_step() -> None:
    rules = [*DOGS, "forall x (Animal(x) -> Breathes(x))"]
    assert unsupported(rules, ["Animal(rex)"], "Breathes(rex)") == ""
    assert unsupported(rules, ["Animal(rex)", "Animal(tom)"], "Breathes(rex)") == (
        "step 2, Animal(tom), does not follow from what stands before it"
    )
    assert unsupported(rules, ["not Breathes(rex)"], "Dog(rex)") == (
        "step 1, not Breathes(rex), is denied by what stands before it"
    )
    assert unsupported(rules, [], "Animal(tom)").startswith("the conclusion, Animal(tom), does")


# ---- worlds -------------------------------------------------------------------------------------


def test_a_counter_model_is_small_and_says_all_that_is_true() -> None:
    assert counter_model(["Dog(rex) or Cat(rex)", "Cat(tom)"], "Dog(rex)") == World(
        things=("rex", "tom"), true=("Cat(rex)", "Cat(tom)")
    )
    assert counter_model(["forall x exists y Next(x, y)"], "exists x Next(x, x)") == World(
        things=("thing1", "thing2"), true=("Next(thing1, thing2)", "Next(thing2, thing1)")
    )
    named = counter_model(["a = b", "mother(a) = c"], "P(a)")
    assert named is not None
    assert named.things == ("a", "c")
    assert named.true[:2] == ("b = a", "mother(a) = c")
    # Nothing says who the mother of c is: she is one of the two.
    assert named.true[2:] in (("mother(c) = a",), ("mother(c) = c",))
    assert counter_model(DOGS, "Animal(rex)") is None
    with pytest.raises(SolverTimeout):
        counter_model(SUCCESSOR, "P(zero)")


def holds(formula: Formula, world: World, bound: Mapping[str, str]) -> bool:
    """Whether a formula is true in a world: an evaluator that shares nothing with the solver's."""
    match formula:
        case Truth(value):
            return value
        case Atom(name, args):
            given = [value_of(arg, world, bound) for arg in args]
            return (f"{name}({', '.join(given)})" if given else name) in world.true
        case Equal(left, right):
            return value_of(left, world, bound) == value_of(right, world, bound)
        case Not(body):
            return not holds(body, world, bound)
        case Quantified(quantifier, variable, body):
            each = (holds(body, world, {**bound, variable: thing}) for thing in world.things)
            return all(each) if quantifier == "forall" else any(each)
        case Operation(operator, parts):
            values = [holds(part, world, bound) for part in parts]
            if operator == "->":
                return not values[0] or values[1]
            if operator in ("xor", "<->"):
                return (values[0] != values[1]) == (operator == "xor")
            return all(values) if operator == "and" else any(values)


def value_of(term: Term, world: World, bound: Mapping[str, str]) -> str:
    if not term.args:
        name = bound.get(term.name, term.name)
    else:
        name = f"{term.name}({', '.join(value_of(arg, world, bound) for arg in term.args)})"
    if name in world.things:
        return name
    return next(fact.partition(" = ")[2] for fact in world.true if fact.startswith(f"{name} = "))


THINGS = st.recursive(
    st.sampled_from(["x", "y", "a", "b"]).map(Term),
    lambda inner: st.builds(Term, st.just("f"), st.tuples(inner)),
    max_leaves=2,
)
ATOMS = (
    st.builds(Atom, st.sampled_from("PQ"), st.tuples(THINGS))
    | st.builds(Atom, st.just("R"), st.tuples(THINGS, THINGS))
    | st.builds(Equal, THINGS, THINGS)
)


def operations(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    operators = st.sampled_from(["and", "or", "xor", "->", "<->"])
    return (
        st.builds(Not, inner)
        | st.builds(Operation, operators, st.tuples(inner, inner))
        | st.builds(Quantified, st.sampled_from(["forall", "exists"]), st.sampled_from("xy"), inner)
    )


def closed(formula: Formula) -> Formula:
    return Quantified("forall", "x", Quantified("exists", "y", formula))


FORMULAS = st.recursive(ATOMS, operations, max_leaves=5).map(closed)


@given(st.lists(FORMULAS, max_size=3), FORMULAS)
def test_answers_and_worlds_agree(premises: list[Formula], conclusion: Formula) -> None:
    texts, goal = [show(premise) for premise in premises], show(conclusion)
    try:
        label, world = entails(texts, goal, PATIENCE), counter_model(texts, goal, PATIENCE)
    except (ContradictoryPremises, SolverTimeout):
        return
    assert (label == "True") == (world is None)
    if world:
        assert all(holds(premise, world, {}) for premise in premises)
        assert not holds(conclusion, world, {})


@given(st.lists(FORMULAS, min_size=1, max_size=2))
def test_formulas_that_are_true_somewhere_are_consistent(formulas: list[Formula]) -> None:
    """All worlds with one thing are tried: in one of them, the formulas may all be true."""
    facts = ["P(a)", "Q(a)", "R(a, a)"]
    fixed = ("b = a", "f(a) = a")
    somewhere = any(
        all(holds(formula, World(("a",), (*fixed, *true)), {}) for formula in formulas)
        for true in (
            tuple(fact for fact, there in zip(facts, row, strict=True) if there)
            for row in product((True, False), repeat=len(facts))
        )
    )
    try:
        found = consistent([show(formula) for formula in formulas], PATIENCE)
    except SolverTimeout:
        return
    assert found or not somewhere


# ---- FOLIO --------------------------------------------------------------------------------------

OUTCOMES = {
    "True": 324,
    "False": 2,
    "there is no ( for this )": 6,
    "there is no ) for this (": 1,
    "the formula is empty": 2,
    "'universe' follows without an operator": 1,
    "'Nearby' follows without an operator": 1,
    "y has no quantifier": 2,
    "PValue is used with 2 and with 1 arguments": 1,
}
"""How many stories have premises that can be true together, or can not, or are refused, and why."""


def test_the_premises_of_all_folio_stories_are_decided(data: Path) -> None:
    path = data / "folio" / "train.jsonl"
    if not path.is_file():
        pytest.skip(f"FOLIO is not at {path}")
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    stories = {row["story_id"]: row["premises-FOL"] for row in rows}
    found: Counter[str] = Counter()
    for premises in stories.values():
        try:
            found[str(consistent(premises, PATIENCE))] += 1
        except FormulaError as error:
            found[re.split("[,:]", str(error))[0]] += 1
    assert found == OUTCOMES
