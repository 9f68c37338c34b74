"""The small steps that a proof is made of, as functions.

A step takes formulas as text and gives the one that it grants. Where the problem's text is a world
of facts and rules (`evidence`), its premises must stand there, or have been derived in the chain.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callsmith.functions import Context, function
from callsmith_logic import inference
from callsmith_logic.evidence import admit, record
from callsmith_logic.formulas import Formula
from callsmith_logic.grammar import parse_term, statement
from callsmith_logic.printing import show_result


def _grant(context: Context, conclusion: Formula) -> str:
    text = show_result(conclusion)
    record(context, conclusion)
    return text


@function(
    examples=[{"rule": "forall x (Dog(x) -> Animal(x))", "fact": "Dog(rex)"}],
    inline=True,
)
def modus_ponens(context: Context, rule: str, fact: str) -> str:
    """Apply a rule to a fact that satisfies its condition. Gives what the rule concludes.

    If the rule needs several facts, join them: "quiet(bob) and cold(bob)".
    """
    premises = statement(rule), statement(fact)
    admit(context, premises)
    return _grant(context, inference.modus_ponens(*premises))


@function(
    examples=[{"rule": "forall x (Dog(x) -> Animal(x))", "fact": "not Animal(rock)"}],
    inline=True,
)
def modus_tollens(context: Context, rule: str, fact: str) -> str:
    """Apply a rule backwards: what it would conclude is false, so its condition is false."""
    premises = statement(rule), statement(fact)
    admit(context, premises)
    return _grant(context, inference.modus_tollens(*premises))


@function(
    examples=[{"rule": "forall x forall y (Parent(x, y) -> Older(x, y))", "names": ["ann", "bob"]}],
    inline=True,
)
def instantiate(
    context: Context, rule: str, names: Annotated[list[str], Field(min_length=1, max_length=10)]
) -> str:
    """Put names of things for the variables of a formula with forall in front, in their order."""
    premise = statement(rule)
    admit(context, [premise])
    return _grant(context, inference.instantiate(premise, [parse_term(name) for name in names]))


@function(examples=[{"facts": ["Quiet(bob)", "not Cold(bob)"]}], inline=True)
def conjunction(
    context: Context, facts: Annotated[list[str], Field(min_length=2, max_length=10)]
) -> str:
    """Join facts by and."""
    premises = [statement(fact) for fact in facts]
    admit(context, premises)
    return _grant(context, inference.conjunction(premises))


@function(examples=[{"fact": "Quiet(bob) and not Cold(bob)", "part": "not Cold(bob)"}], inline=True)
def take_part(context: Context, fact: str, part: str) -> str:
    """Take one part out of facts that are joined by and."""
    premise, wanted = statement(fact), statement(part)
    admit(context, [premise])
    return _grant(context, inference.part(premise, wanted))


@function(
    examples=[
        {"choice": "Student(rina) or Teacher(rina)", "fact": "not Student(rina)"},
        {"choice": "forall x (Early(x) xor Late(x))", "fact": "Late(bob)"},
    ],
    inline=True,
)
def eliminate(context: Context, choice: str, fact: str) -> str:
    """Settle a choice between formulas joined by or, or by xor, with a fact that decides one."""
    premises = statement(choice), statement(fact)
    admit(context, premises)
    return _grant(context, inference.eliminate(*premises))


@function(
    examples=[
        {"rules": ["forall x (Dog(x) -> Animal(x))", "forall x (Animal(x) -> not Plant(x))"]}
    ],
    inline=True,
)
def chain(context: Context, rules: Annotated[list[str], Field(min_length=2, max_length=10)]) -> str:
    """Join rules into one: each must need what the one before it concludes."""
    premises = [statement(rule) for rule in rules]
    admit(context, premises)
    return _grant(context, inference.chain(premises))
