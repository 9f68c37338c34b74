"""Formulas with quantifiers: what follows from premises, and worlds that show what does not."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from callsmith.functions import function
from callsmith_logic.grammar import parse
from callsmith_logic.printing import show_result

TIMEOUT = 12.0
"""Seconds for a call; the solver gives up some seconds earlier, and says so."""

MEMORY_MB = 1024

Premises: TypeAlias = Annotated[list[str], Field(min_length=1, max_length=50)]


@function(examples=[{"formula": "∀x∃y Loves(x,y) → ¬Sad(rina)"}], inline=True)
def normalise(formula: str) -> str:
    """Read a formula, in symbols or words, and write it as all functions here write it."""
    return show_result(parse(formula))


@function(
    examples=[
        {"premises": ["forall x (Dog(x) -> Animal(x))", "Dog(rex)"], "conclusion": "Animal(rex)"},
        {"premises": ["Dog(rex) or Cat(rex)"], "conclusion": "Dog(rex)"},
    ],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def entails(premises: Premises, conclusion: str) -> Literal["True", "False", "Unknown"]:
    """Say whether a conclusion is True or False if the premises are true, or Unknown."""
    from callsmith_logic import firstorder

    return firstorder.entails(premises, conclusion)


@function(
    examples=[{"premises": ["forall x (Dog(x) -> Animal(x))", "Dog(rex)", "not Animal(rex)"]}],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def consistent(premises: Premises) -> bool:
    """Say whether all premises can be true together."""
    from callsmith_logic import firstorder

    return firstorder.consistent(premises)


@function(
    examples=[{"premises": ["forall x (Dog(x) -> Animal(x))"], "conclusion": "Animal(rex)"}],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def counter_model(premises: Premises, conclusion: str) -> dict[str, list[str]] | str:
    """Find a small world where the premises are true and the conclusion is not.

    Gives the things in it and all that is true of them, or says that the conclusion follows.
    """
    from callsmith_logic import firstorder

    world = firstorder.counter_model(premises, conclusion)
    if world is None:
        return "there is none: the conclusion follows"
    return {"things": list(world.things), "true": list(world.true)}
