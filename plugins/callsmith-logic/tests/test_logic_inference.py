"""The small steps: each is granted only if it follows, whatever it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith_logic import inference
from callsmith_logic.errors import LogicError, StepError
from callsmith_logic.firstorder import consistent
from callsmith_logic.formulas import Atom, Formula, Not, Operation, Quantified, Term, same
from callsmith_logic.grammar import parse, parse_term
from callsmith_logic.printing import show

RULE = "forall x (Dog(x) -> Animal(x))"


def modus_ponens(rule: str, fact: str) -> str:
    return show(inference.modus_ponens(parse(rule), parse(fact)))


def modus_tollens(rule: str, fact: str) -> str:
    return show(inference.modus_tollens(parse(rule), parse(fact)))


def eliminate(choice: str, fact: str) -> str:
    return show(inference.eliminate(parse(choice), parse(fact)))


def chain(*rules: str) -> str:
    return show(inference.chain([parse(rule) for rule in rules]))


def instantiate(rule: str, *names: str) -> str:
    return show(inference.instantiate(parse(rule), [parse_term(name) for name in names]))


@pytest.mark.parametrize(
    ("rule", "fact", "conclusion"),
    [
        (RULE, "Dog(rex)", "Animal(rex)"),
        (RULE, "Dog(mother(rex))", "Animal(mother(rex))"),
        (RULE, "Cat(tom) and Dog(rex)", "Animal(rex)"),
        ("Red(bob) -> Kind(ann)", "Red(bob)", "Kind(ann)"),
        ("forall x (Quiet(x) and Cold(x) -> Smart(x))", "Cold(bob) and Quiet(bob)", "Smart(bob)"),
        ("forall x (Red(x) or Blue(x) -> Coloured(x))", "Blue(bob)", "Coloured(bob)"),
        ("forall x (P(x) -> forall y R(x, y))", "P(a)", "forall y R(a, y)"),
        ("forall x forall y (P(x) -> R(x, y))", "P(a)", "forall y R(a, y)"),
        ("forall x forall y (P(x) -> R(x, y))", "P(y)", "forall y1 R(y, y1)"),
        ("forall x (P(x) -> exists y R(x, y))", "P(y)", "exists y1 R(y, y1)"),
        ("forall x ((forall y R(x, y)) -> P(x))", "forall z R(a, z)", "P(a)"),
        ("forall x (P(x) <-> Q(x))", "Q(a)", "P(a)"),
        ("forall x forall x (P(x) -> Q(x))", "P(a)", "Q(a)"),
        ("not p -> q", "not p", "q"),
    ],
)
def test_modus_ponens_finds_the_instance_that_it_needs(
    rule: str, fact: str, conclusion: str
) -> None:
    assert modus_ponens(rule, fact) == conclusion


@pytest.mark.parametrize(
    ("rule", "fact", "reason"),
    [
        (RULE, "Cat(rex)", r"the rule needs Dog\(x\), and the fact does not give it"),
        (RULE, "Animal(rex)", r"the rule needs Dog\(x\)"),
        (RULE, "not Dog(rex)", r"the rule needs Dog\(x\)"),
        ("Dog(rex)", "Dog(rex)", "is no rule: write forall x"),
        ("exists x (Dog(x) -> Animal(x))", "Dog(rex)", "is no rule"),
        ("forall x (P(x) and Q(x) -> R(x))", "P(a)", r"the rule needs Q\(x\), and the fact"),
        ("forall x (P(x) and Q(x) -> R(x))", "P(a) and Q(b)", "of the same things"),
        ("forall x (R(x, x) -> P(x))", "R(a, b)", r"the rule needs R\(x, x\)"),
        ("forall x ((exists y R(x, y)) -> P(x))", "R(a, b)", "the rule needs exists y"),
        ("forall x ((forall y R(y, x)) -> P(x))", "forall y R(y, y)", "the rule needs forall y"),
    ],
)
def test_modus_ponens_says_what_is_missing(rule: str, fact: str, reason: str) -> None:
    with pytest.raises(StepError, match=reason):
        modus_ponens(rule, fact)


def test_modus_tollens_denies_the_condition() -> None:
    assert modus_tollens(RULE, "not Animal(rock)") == "not Dog(rock)"
    assert modus_tollens("forall x (P(x) -> not Q(x))", "Q(a)") == "not P(a)"
    assert modus_tollens("not p -> q", "not q") == "p"
    assert modus_tollens("forall x (P(x) -> Q(x) and R(x))", "not R(a)") == "not P(a)"
    assert modus_tollens("p and q -> r", "not r") == "not (p and q)"
    with pytest.raises(StepError, match=r"does not deny what the rule concludes: it needs not Ani"):
        modus_tollens(RULE, "not Dog(rex)")


def test_a_universal_formula_is_instantiated_without_capturing_names() -> None:
    assert instantiate(RULE, "rex") == "Dog(rex) -> Animal(rex)"
    assert instantiate("forall x forall y R(x, y)", "a", "f(b)") == "R(a, f(b))"
    assert (
        show(inference.instantiate(parse("forall x exists y R(x, y)"), [Term("y")]))
        == "exists y1 R(y, y1)"
    )
    with pytest.raises(StepError, match="has no forall in front"):
        instantiate(RULE, "rex", "tom")


def test_an_or_and_a_xor_are_settled_by_what_decides_them() -> None:
    assert eliminate("p or q or r", "not q") == "p or r"
    assert eliminate("p or not q", "q") == "p"
    assert eliminate("p xor q", "p") == "not q"
    assert eliminate("p xor q", "not p") == "q"
    assert eliminate("forall x (Early(x) or Late(x))", "not Late(bob)") == "Early(bob)"
    with pytest.raises(StepError, match="decides no part of the choice: not p would"):
        eliminate("p or q", "p")
    with pytest.raises(StepError, match="is no choice"):
        eliminate("p and q", "p")


def test_rules_are_chained_where_one_begins_as_the_other_ends() -> None:
    assert chain(RULE, "forall y (Animal(y) -> not Plant(y))") == (
        "forall x (Dog(x) -> not Plant(x))"
    )
    assert chain("p -> q", "q -> r", "r -> s") == "p -> s"
    assert chain("P(a) -> Q(a)", "forall x (Q(x) -> R(x, a))") == "P(a) -> R(a, a)"
    assert chain("forall x (P(x) -> Q(x))", "forall y forall x (Q(y) -> R(y, x))") == (
        "forall x forall x1 (P(x) -> R(x, x1))"
    )
    with pytest.raises(StepError, match=r"does not lead to Cat\(y\)"):
        chain(RULE, "forall y (Cat(y) -> not Plant(y))")


def test_parts_are_joined_and_taken_apart() -> None:
    joined = inference.conjunction([parse("p and q"), parse("not r")])
    assert show(joined) == "p and q and not r"
    assert show(inference.part(joined, parse("not r"))) == "not r"
    with pytest.raises(StepError, match="r is no part of"):
        inference.part(joined, parse("r"))


def test_the_same_formula_may_have_other_names_for_its_bound_variables() -> None:
    assert same(parse("forall x exists y R(x, y)"), parse("forall y exists x R(y, x)"))
    assert same(parse("(p and q) and r"), parse("p and q and r"))
    assert not same(parse("forall x exists y R(x, y)"), parse("forall x exists y R(y, x)"))
    assert not same(parse("forall x forall x R(x, x)"), parse("forall x forall y R(x, y)"))
    assert not same(parse("forall x R(x, a)"), parse("forall a R(a, a)"))


def test_no_step_makes_more_of_a_formula_than_can_be_read() -> None:
    many = ", ".join("x" for _ in range(300))
    growing = f"forall x (P(x) -> P(f({many})))"
    with pytest.raises(LogicError, match="more than 1,000 parts"):
        chain(*[growing] * 10)
    # A path through 40 things from one to itself, where there are only paths between seven.
    needs = [Atom("R", (Term(f"x{i}"), Term(f"x{i + 1}"))) for i in range(40)]
    rule: Formula = Operation("->", (inference.conjunction([*needs, Atom("Stop")]), Atom("Q")))
    for number in range(41):
        rule = Quantified("forall", f"x{number}", rule)
    paths = [Atom("R", (Term(f"a{i}"), Term(f"a{j}"))) for i in range(7) for j in range(7)]
    with pytest.raises(StepError, match="too many ways to use these facts"):
        inference.modus_ponens(rule, inference.conjunction(paths))


# ---- soundness ----------------------------------------------------------------------------------

PATTERN = st.sampled_from("xyab").map(Term)
THING = st.sampled_from("ab").map(Term)


def literals(things: st.SearchStrategy[Term]) -> st.SearchStrategy[Formula]:
    atoms = st.builds(Atom, st.sampled_from("PQ"), st.tuples(things)) | st.builds(
        Atom, st.just("R"), st.tuples(things, things)
    )
    return atoms | st.builds(Not, atoms)


def bodies(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    quantifiers = st.sampled_from(["forall", "exists"])
    return st.builds(Operation, st.sampled_from(["and", "or"]), several) | st.builds(
        Quantified, quantifiers, st.just("y"), inner
    )


parts = st.recursive(literals(PATTERN), bodies, max_leaves=3)


def closed(formula: Formula) -> Formula:
    return Quantified("forall", "x", Quantified("forall", "y", formula))


# Of each step: the operators of its first formula, and what its second is made of. A part of the
# first with things for its variables is what it needs more often than not.
STEPS: dict[str, tuple[Callable[[Formula, Formula], Formula], tuple[str, ...], bool]] = {
    "modus ponens": (inference.modus_ponens, ("->", "<->"), False),
    "modus tollens": (inference.modus_tollens, ("->", "<->"), True),
    "eliminate": (inference.eliminate, ("or", "xor"), True),
}


@pytest.mark.parametrize("step", STEPS)
@given(data=st.data())
def test_what_a_step_grants_follows(step: str, data: st.DataObject) -> None:
    apply, operators, denied = STEPS[step]
    rule = data.draw(st.builds(Operation, st.sampled_from(operators), st.tuples(parts, parts)))
    values = {name: data.draw(THING) for name in "xy"}
    known = inference.substitute(data.draw(st.sampled_from(rule.parts)), values)
    fact = data.draw(st.sampled_from([known, inference.negated(known)] if denied else [known]))
    check(apply, closed(rule), fact)


@given(parts, parts, parts)
def test_what_a_chain_grants_follows(first: Formula, second: Formula, third: Formula) -> None:
    rules = [closed(Operation("->", pair)) for pair in ((first, second), (second, third))]
    check(lambda *rules: inference.chain(rules), *rules)


def check(apply: Callable[..., Formula], *premises: Formula) -> None:
    """Whatever a step grants, the premises can't be true where it is false."""
    try:
        conclusion = apply(*premises)
    except StepError:
        return
    wrong = inference.conjunction([*premises, inference.negated(conclusion)])
    assert not consistent([show(wrong)])
