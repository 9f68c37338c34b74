"""Formulas as people write them: read, refused with the place, and written again."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith_logic.errors import FormulaError
from callsmith_logic.formulas import (
    MAX_DEPTH,
    MAX_LENGTH,
    Atom,
    Equal,
    Formula,
    Not,
    Operation,
    Quantified,
    Term,
    Truth,
    same,
)
from callsmith_logic.grammar import parse, parse_term, statement
from callsmith_logic.printing import show


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("∀x (Dog(x) → Animal(x))", "forall x (Dog(x) -> Animal(x))"),
        ("all x (Dog(x) implies Animal(x))", "forall x (Dog(x) -> Animal(x))"),
        ("For all x: Dog(x) => Animal(x)", "forall x (Dog(x) -> Animal(x))"),
        ("every x. Dog(x) --> Animal(x).", "forall x (Dog(x) -> Animal(x))"),
        ("(∀x)(∃y) Loves(x,y)", "forall x exists y Loves(x, y)"),
        ("∀x∃y[Loves(x,y)]", "forall x exists y Loves(x, y)"),
        ("∀x, y (Loves(x, y))", "forall x forall y Loves(x, y)"),
        ("∀x y (Loves(x, y))", "forall x forall y Loves(x, y)"),
        ("∀xDog(x)", "forall x Dog(x)"),
        ("∀x.Dog(x)", "forall x Dog(x)"),
        ("∀x (y)", "forall x (y)"),
        ("some x (Dog(x) && !Cat(x))", "exists x (Dog(x) and not Cat(x))"),
        ("there exists x Dog(x)", "exists x Dog(x)"),
        ("~p & ¬q | r", "(not p and not q) or r"),
        ("NOT p AND q OR r XOR s", "(not p and q) or (r xor s)"),
        ("p ⊕ q ^ r", "(p xor q) xor r"),
        ("p \\/ q /\\ r", "p or (q and r)"),
        ("p → q → r", "p -> (q -> r)"),
        ("p ↔ q ⟷ r <-> s", "((p <-> q) <-> r) <-> s"),
        ("p iff q => r", "p <-> (q -> r)"),
        ("f(a)=g(b, c) and a ≠ b and a != b", "f(a) = g(b, c) and a != b and a != b"),
        ("¬∃x ¬x=y", "not exists x (x != y)"),
        ("⊥ → True", "false -> true"),
        ("True(x) and order(y)", "True(x) and order(y)"),
        ("Science-fiction(mr.smith, gpt-3)", "Science-fiction(mr.smith, gpt-3)"),
        ("o'brien’s(x', c++, 1984)", "o'brien’s(x', c++, 1984)"),
        ("a->b", "a -> b"),
        ("Likes(rina, all)", "Likes(rina, all)"),
    ],
)
def test_formulas_are_read_as_people_write_them(text: str, written: str) -> None:
    assert show(parse(text)) == written
    assert parse(written) == parse(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("∀x P(x) → Q(x)", "forall x (P(x) -> Q(x))"),
        ("∀x (P(x)) → Q(a)", "(forall x P(x)) -> Q(a)"),
        ("∀x. P(x) → Q(a)", "forall x (P(x) -> Q(a))"),
        ("∀x ∃y (R(x, y)) → S(x, y)", "forall x exists y (R(x, y) -> S(x, y))"),
        ("∀x P(x) ∧ ∀x Q(x)", "(forall x P(x)) and (forall x Q(x))"),
        ("(∀x P(x) ∨ Q(x)) ∧ R(a)", "(forall x (P(x) or Q(x))) and R(a)"),
        ("R(a) ∧ ∀x P(x) → Q(x)", "R(a) and (forall x (P(x) -> Q(x)))"),
        ("¬∃x P(x) ∧ Q(a)", "(not exists x P(x)) and Q(a)"),
        ("∀x f(x) = a → P(b)", "(forall x (f(x) = a)) -> P(b)"),
    ],
)
def test_a_quantifier_reaches_as_far_as_its_variable_is_used(text: str, written: str) -> None:
    assert show(parse(text)) == written


@pytest.mark.parametrize(
    ("text", "reason", "caret"),
    [
        ("", "the formula is empty", None),
        ("  \n", "the formula is empty", None),
        ("forall (P(x))", "'forall' needs a variable", 0),
        ("∀", "'∀' needs a variable", 0),
        ("P(a) and ∃ (P(x))", "'∃' needs a variable", 9),
        ("all (P(x))", "'all' needs a variable", 0),
        ("forall P(x)", "'forall' needs a variable", 0),
        ("forall exists x (P(x))", "'forall' needs a variable", 0),
        ("P(a) and (Q(b)", r"there is no \) for this \(", 9),
        ("P(a)) and Q(b)", r"there is no \( for this \)", 4),
        ("P(captain america)", "a name is one word", 10),
        ("P(a) Q(b)", "'Q' follows without an operator", 5),
        ("P(a) (Q(b))", r"an operator such as and is missing before '\('", 5),
        ("P(a) ->", "something is missing at the end", 7),
        ("-> P(a)", "a formula is missing before '->'", 0),
        ("P(a) and or Q(b)", "a formula is missing before 'or'", 9),
        ("P()", r"a name is missing before '\)'", 2),
        ("P(a, not b)", "a name is missing before 'not'", 5),
        ("P(a and b)", "arguments are names, not formulas", 4),
        ("P(a), Q(b)", "a comma can only stand between the arguments", 4),
        ("P(a). Q(b)", "a full stop can only end the formula", 6),
        ("Age(rina) > 5", r"write a predicate such as Greater\(x, y\)", 10),
        ('P("rina")', "without quotation marks", 2),
        ("P(a) # Q", "'#' has no meaning here", 5),
    ],
)
def test_what_is_no_formula_is_refused_with_the_place(
    text: str, reason: str, caret: int | None
) -> None:
    with pytest.raises(FormulaError, match=reason) as caught:
        parse(text)
    assert caught.value.position == caret
    assert "\n" not in str(caught.value)
    if caret is not None:
        assert f", at character {caret + 1}" in str(caught.value)
        line, pointer = caught.value.caret.splitlines()
        assert line == text
        assert pointer == " " * caret + "^"
        # People see the caret in the traceback; models read the sentence.
        assert caught.value.caret in "".join(traceback.format_exception(caught.value))


def test_a_long_formula_is_cut_to_what_is_near_the_caret() -> None:
    text = " and ".join(f"Likes(person{number}, rina)" for number in range(30))
    text = text.replace("person15,", "person15 ")
    with pytest.raises(FormulaError) as caught:
        parse(text)
    line, pointer = caught.value.caret.splitlines()
    assert len(line) < 130
    assert line[pointer.index("^") :].startswith("rina) and Likes(person16")


@pytest.mark.parametrize(
    "text",
    [
        "P(a) and " * 12_000 + "P(a)",
        "(" * 10_000 + "P" + ")" * 10_000,
        "not " * 10_000 + "P",
        "f(" * 10_000,
        "P -> " * 10_000 + "P",
        "∀x" * 10_000,
        "(" * 900 + "P" + ")" * 900,
        "(" * (MAX_DEPTH + 1) + "P" + ")" * (MAX_DEPTH + 1),
        "¬" * 1_900 + "P",
        "p→" * 900 + "p",
        "∀x " * 600 + "P",
        "P(" + "f(" * 400 + "a" + ")" * 401,
        "P(" + "a" * MAX_LENGTH + ")",
    ],
    ids=lambda text: f"{text[:8]}... {len(text)}",
)
def test_what_is_long_or_deep_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(FormulaError, match=r"at most 2,000 can be read|nested more than 50 deep"):
        parse(text)


def test_what_is_as_deep_as_allowed_is_read() -> None:
    deep = "not " * (MAX_DEPTH - 1) + "P"
    assert show(parse(deep)) == deep


def test_a_letter_without_its_quantifier_is_no_statement() -> None:
    with pytest.raises(FormulaError, match="y has no quantifier: put forall y") as caught:
        statement("forall x (Loves(x, y))")
    assert caught.value.position == 19
    assert statement("forall x (Loves(x, rina) and Year(y2005))") == parse(
        "forall x (Loves(x, rina) and Year(y2005))"
    )


def test_a_term_is_a_name_or_a_function_of_names() -> None:
    assert parse_term("mother(rina)") == Term("mother", (Term("rina"),))
    for text in ("not rina", "x", "f(x)", "rina and bob"):
        with pytest.raises(FormulaError):
            parse_term(text)


# ---- FOLIO --------------------------------------------------------------------------------------

MALFORMED = {
    "": ("the formula is empty", None),
    "(WorkTeams(kat) ∧ Tired(kat)) ∨ ¬WorkTeams(kat) ∧ ¬Tired(kat))": (
        "there is no ( for this )",
        61,
    ),
    "American(captain america)": ("'america' follows without an operator", 17),
    "Superhero(captain america)": ("'america' follows without an operator", 18),
    "¬ComeFrom(captain america, dc universe)": ("'america' follows without an operator", 18),
    "∀x (Superhero(x) ∧ American(x) → (ComeFrom(x, dc universe) ⊕ ComeFrom(x, marvel universe)))": (
        "'universe' follows without an operator",
        49,
    ),
    "∃x (Country(x) Nearby(medeempire, x) ∧ PlotsToSwallowUp(medeempire, x))": (
        "'Nearby' follows without an operator",
        15,
    ),
    "∀x (Road(x) → (MadeOfConcrete(x) ∨ MadeOfAsphalt(x))": ("there is no ) for this (", 3),
    "Code(burger) ∧ Mac(burger))": ("there is no ( for this )", 26),
    "Luxury(Jess) ⊕ Miserly(Jess)) →  Luxury(Jess)": ("there is no ( for this )", 28),
    "¬WorkAtPool(mary))": ("there is no ( for this )", 17),
    "∀x ((Orlando(x) ∨ Miami(x)) ∧ Florida(x)) → WantToGo(x))": ("there is no ( for this )", 55),
    "∀x ((RelaySwimmer(x) ∧ ¬ParticipatedIn(x, finalheatfreerelay)) ↔ ¬Recieved(x, medal)))": (
        "there is no ( for this )",
        85,
    ),
}
"""All formulas of FOLIO's train file that are refused: what is wrong, and where."""


def test_folio_is_read_but_for_what_is_malformed(data: Path) -> None:
    path = data / "folio" / "train.jsonl"
    if not path.is_file():
        pytest.skip(f"FOLIO is not at {path}")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    formulas = [formula.strip() for row in rows for formula in row["premises-FOL"]]
    refused: dict[str, FormulaError] = {}
    for formula in formulas:
        try:
            assert parse(show(parse(formula))) == parse(formula)
        except FormulaError as error:
            refused[formula] = error
    assert refused.keys() == MALFORMED.keys()
    for formula, (reason, place) in MALFORMED.items():
        assert str(refused[formula]).startswith(reason)
        assert refused[formula].position == place
    read = sum(formula not in refused for formula in formulas)
    assert (read, len(formulas)) == (5196, 5239)
    assert read / len(formulas) > 0.99
    assert 1 - len(refused) / len(set(formulas)) > 0.99


# ---- what hypothesis comes up with --------------------------------------------------------------

VARIABLES = ("x", "y", "z1")
NAMES = st.sampled_from(
    ["a", "rina", "gpt-3", "mr.smith", "o'brien", "c++", "1984", "Zoë", "_", "z1"]
)
PREDICATES = st.sampled_from(["P", "Q-r", "notable", "order", "Allow", "is.a", "x", "trueish"])

terms = st.recursive(
    st.builds(Term, NAMES | st.sampled_from(VARIABLES)),
    lambda inner: st.builds(Term, NAMES, st.lists(inner, min_size=1, max_size=2).map(tuple)),
    max_leaves=4,
)
atoms = st.builds(Atom, PREDICATES, st.lists(terms, max_size=3).map(tuple))


def operations(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    pairs = st.tuples(inner, inner)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return (
        st.builds(Operation, st.sampled_from(["xor", "->", "<->"]), pairs)
        | st.builds(Operation, st.sampled_from(["and", "or"]), several)
        | st.builds(Not, inner)
        | st.builds(
            Quantified, st.sampled_from(["forall", "exists"]), st.sampled_from(VARIABLES), inner
        )
    )


formulas = st.recursive(
    atoms | st.builds(Equal, terms, terms) | st.builds(Truth, st.booleans()),
    operations,
    max_leaves=12,
)


@given(formulas)
def test_what_is_written_reads_back_as_the_same_formula(formula: Formula) -> None:
    assert parse(show(formula)) == formula
    assert same(formula, formula)


SYMBOLS = {
    "forall ": "∀",
    "exists ": "∃",
    "not ": "¬",
    " and ": "∧",
    " or ": " ∨ ",
    " xor ": "⊕",
    " -> ": " → ",
    " <-> ": "⟷",
    "!=": "≠",
}


@given(formulas)
def test_symbols_and_words_are_read_alike(formula: Formula) -> None:
    text = show(formula)
    for word, symbol in SYMBOLS.items():
        text = text.replace(word, symbol)
    assert parse(text) == formula


WORDS = (
    *("forall", "∀", "exists x", "∃y", "all", "x", "y.", "(", ")", "(", ")", ",", "=", "!=", "."),
    *("not", "¬", "!", "and", "∧", "&", "or", "|", "xor", "^", "->", "→", "<->", "P", "a", "f(a)"),
    *("true", "⊥", "[", "]", "'", "-", "\n", "\x00", "\ud800", "’", "+", ">", "é", "\u200b", "1"),
)
garbage = st.text(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=300).map(
    lambda words: " ".join(words)
)


def read(text: str) -> Formula | FormulaError:
    try:
        return parse(text)
    except FormulaError as error:
        return error


@given(garbage)
def test_garbage_is_read_or_refused_and_nothing_else(text: str) -> None:
    found = read(text)
    if isinstance(found, FormulaError):
        assert "\n" not in str(found)
        assert found.position is None or 0 <= found.position <= len(text)
    else:
        assert parse(show(found)) == found


@given(formulas, st.integers(0, 200), st.sampled_from(WORDS))
def test_a_formula_with_a_slip_is_read_or_refused(formula: Formula, place: int, word: str) -> None:
    text = show(formula)
    for slip in (text[:place] + text[place + 1 :], text[:place] + word + text[place:]):
        found = read(slip)
        assert not isinstance(found, FormulaError) or 0 <= (found.position or 0) <= len(slip)
