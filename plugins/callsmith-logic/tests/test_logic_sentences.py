from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsmith.chain import Problem
from callsmith_logic.errors import SentenceError
from callsmith_logic.evidence import to_formula
from callsmith_logic.grammar import parse
from callsmith_logic.sentences import (
    goal_of,
    read_sentence,
    read_statement,
    read_world,
    split_sentences,
    theory_of,
)
from callsmith_logic.worlds import Literal, Rule


@pytest.mark.parametrize(
    ("sentence", "formula"),
    [
        ("Max is a yumpus.", "yumpus(Max)"),
        ("Max is an impus.", "impus(Max)"),
        ("Max is not sour.", "not sour(Max)"),
        ("The bald eagle is not young.", "not young(bald_eagle)"),
        ("The cow likes the bald eagle.", "likes(cow, bald_eagle)"),
        ("The cow does not like Anne.", "not likes(cow, Anne)"),
        ("The fox does not chase the cow.", "not chases(fox, cow)"),
        ("Each yumpus is a dumpus.", "forall x (yumpus(x) -> dumpus(x))"),
        ("Every impus is not luminous.", "forall x (impus(x) -> not luminous(x))"),
        ("Dumpuses are nervous.", "forall x (dumpus(x) -> nervous(x))"),
        ("Dumpuses are not wumpuses.", "forall x (dumpus(x) -> not wumpus(x))"),
        ("All cats are animals.", "forall x (cat(x) -> animal(x))"),
        ("Foxes are red.", "forall x (fox(x) -> red(x))"),
        ("All cold people are not red.", "forall x (cold(x) -> not red(x))"),
        ("Green, blue things are young.", "forall x (green(x) and blue(x) -> young(x))"),
        (
            "If someone is kind and not big then they are red.",
            "forall x (kind(x) and not big(x) -> red(x))",
        ),
        (
            "If someone sees the cat and they are not green then they like the cow.",
            "forall x (sees(x, cat) and not green(x) -> likes(x, cow))",
        ),
        (
            "If something chases the cow and the cow is big then it does not need the dog.",
            "forall x (chases(x, cow) and big(cow) -> not needs(x, dog))",
        ),
        (
            "If something likes the cow then the cow is red.",
            "forall x (likes(x, cow) -> red(cow))",
        ),
        ("If Anne is red and young then Bob is big.", "red(Anne) and young(Anne) -> big(Bob)"),
    ],
)
def test_a_sentence_is_read_as_the_formula_it_means(sentence: str, formula: str) -> None:
    assert str(read_sentence(sentence)) == formula


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "Max.",
        "Max is.",
        "Max is an.",
        "Max is very sour.",
        "Max is sour or sweet.",
        "Max might be sour.",
        "It is sour.",
        "Nobody is sour.",
        "The x is sour.",
        "No yumpus is sour.",
        "Some yumpuses are sour.",
        "If Max is sour.",
        "If it is sour then it is red.",
        "If something is sour then something is red.",
        "If Max is sour then it is red.",
        "If something likes the cow and something is red then it is big.",
        "If something is sour then they are the cow.",
        "Each yumpus likes everything.",
    ],
)
def test_a_sentence_of_another_kind_is_refused(sentence: str) -> None:
    with pytest.raises(SentenceError, match="is no sentence that can be read as a fact or a rule"):
        read_sentence(sentence)


def test_a_rule_is_no_statement_to_judge() -> None:
    with pytest.raises(SentenceError):
        read_statement("Each yumpus is sour.")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(SentenceError, match="at most 10,000"):
        read_world("Max is sour. " * 1_000)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("Is it true or false? Max is not sour.", context="Max is a yumpus."),
        Problem("Max is a yumpus. Is the following true? Max is not sour."),
        Problem("Max is a yumpus.\nIs the following true? Max is not sour."),
    ],
)
def test_a_problem_is_its_facts_and_the_statement_after_the_question(problem: Problem) -> None:
    assert read_world(theory_of(problem)).facts == (Literal("yumpus", ("Max",)),)
    assert goal_of(problem) == Literal("sour", ("Max",), False)


WORDS = (
    "If then is are not and all each every the The Max Anne cow bald eagle someone something it "
    "they people things a an red sour yumpus yumpuses like likes do does x , . true no"
)


@given(st.lists(st.sampled_from(WORDS.split(" ")), max_size=14).map(" ".join) | st.text())
def test_whatever_is_read_is_a_formula_of_the_same_meaning(text: str) -> None:
    try:
        found = read_sentence(text)
    except SentenceError:
        return
    assert parse(str(found)) == to_formula(found)


# ---- the real data ------------------------------------------------------------------------------


def rows(data: Path, name: str) -> list[dict[str, str]]:
    path = data / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return json.loads(path.read_text(encoding="utf-8"))


def prontoqa_wordings(found: Literal | Rule) -> Iterator[str]:
    """Every sentence of ProntoQA's grammar that means this."""

    def said(literal: Literal, verb: str) -> str:
        no, word = "" if literal.positive else "not ", literal.predicate
        if word.endswith("pus"):
            article = "an" if word[0] in "aeiou" else "a"
            word = f"{word}es" if verb == "are" else f"{article} {word}"
        return f"{verb} {no}{word}."

    if isinstance(found, Literal):
        yield f"{found.subject} {said(found, 'is')}"
        return
    (condition,) = found.conditions
    for every in ("Each", "Every"):
        yield f"{every} {condition.predicate} {said(found.conclusion, 'is')}"
    yield f"{condition.predicate.capitalize()}es {said(found.conclusion, 'are')}"


def proofwriter_wordings(found: Literal | Rule) -> Iterator[str]:
    """Every sentence of ProofWriter's grammar that means this."""

    def thing(name: str) -> str:
        return name if name[0].isupper() else f"the {name.replace('_', ' ')}"

    def said(literal: Literal, plural: bool) -> str:
        verb = literal.predicate
        if len(literal.args) == 1:
            return f"{'are' if plural else 'is'} {'' if literal.positive else 'not '}{verb}"
        do = "do" if plural else "does"
        verb = verb.removesuffix("s") if plural or not literal.positive else verb
        return f"{'' if literal.positive else f'{do} not '}{verb} {thing(literal.args[1])}"

    def clause(literal: Literal, pronoun: str) -> str:
        if literal.subject != "x":
            return f"{thing(literal.subject)} {said(literal, False)}"
        return f"{pronoun} {said(literal, pronoun == 'they')}"

    if isinstance(found, Literal):
        text = clause(found, "")
        yield f"{text[0].upper()}{text[1:]}."
        return
    for pronoun, someone in (("it", "something"), ("they", "someone")):
        first, *others = found.conditions
        options = [[clause(other, pronoun)] for other in others]
        for option, other in zip(options, others, strict=True):
            if len(other.args) == 1:  # "something is quiet and not cold"
                option.append(f"{'' if other.positive else 'not '}{other.predicate}")
        for chosen in product(*options):
            needed = " and ".join([clause(first, someone), *chosen])
            yield f"If {needed} then {clause(found.conclusion, pronoun)}."
    if all(c.positive and c.args == ("x",) for c in found.conditions):
        names = ", ".join(condition.predicate for condition in found.conditions)
        for group in ("people", "things"):
            yield f"{names.capitalize()} {group} {said(found.conclusion, True)}."
            yield f"All {names} {group} {said(found.conclusion, True)}."


def test_every_sentence_of_prontoqa_is_read_exactly(data: Path) -> None:
    problems = rows(data, "prontoqa/dev.json")
    assert len(problems) == 250
    for row in problems:
        for sentence in (*split_sentences(row["context"]), *row["explanation"]):
            assert sentence in prontoqa_wordings(read_sentence(sentence))


@pytest.mark.parametrize("name", ["train", "dev"])
def test_every_sentence_of_proofwriter_is_read_exactly(data: Path, name: str) -> None:
    problems = rows(data, f"proofwriter/{name}.json")
    sentences = {s for row in problems for s in split_sentences(row["context"])}
    sentences |= {row["question"].partition("? ")[2] for row in problems}
    assert len(sentences) > 1_000
    for sentence in sentences:
        assert sentence in proofwriter_wordings(read_sentence(sentence))
