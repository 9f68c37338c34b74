"""Functions that verify a formula or a proof instead of making one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callsmith.functions import function
from callsmith_logic.errors import FormulaError
from callsmith_logic.functions.firstorder import MEMORY_MB, TIMEOUT, Premises
from callsmith_logic.grammar import statement


@function(
    role="verify",
    examples=[{"formula": "forall x (Dog(x) -> Animal(x))"}, {"formula": "Dog(x) -> Animal(x)"}],
    inline=True,
)
def well_formed(formula: str) -> str:
    """Check a formula before it is used: gives yes, or no with what is wrong and where."""
    try:
        statement(formula)
    except FormulaError as error:
        return f"no: {error}"
    return "yes"


@function(
    role="verify",
    examples=[
        {
            "premises": ["forall x (Dog(x) -> Animal(x))", "Dog(rex)"],
            "steps": ["Dog(rex) -> Animal(rex)"],
            "conclusion": "Animal(rex)",
        },
        {"premises": ["Dog(rex)"], "steps": ["Animal(rex)"], "conclusion": "exists x Animal(x)"},
    ],
    timeout=TIMEOUT,
    memory_mb=MEMORY_MB,
)
def supported(
    premises: Premises, steps: Annotated[list[str], Field(max_length=50)], conclusion: str
) -> str:
    """Check a proof: gives yes, or no with the first step that does not follow.

    Each step, and in the end the conclusion, must follow from the premises and earlier steps.
    """
    from callsmith_logic import firstorder

    wrong = firstorder.unsupported(premises, steps, conclusion)
    return f"no: {wrong}" if wrong else "yes"
