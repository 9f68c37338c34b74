"""The functions that are built in: they steer a chain, and work in every pack's company."""

from __future__ import annotations

from typing import Any

from callsmith.chain import JSON
from callsmith.functions import Function, function


@function(
    examples=[{"thought": "First find the total, then share it."}], role="control", inline=True
)
def reasoning(thought: str) -> str:
    """Write down a thought before the next call. It is recorded and changes nothing."""
    return "noted"


def answer_function(schema: JSON) -> Function:
    """``answer(value)``, which ends the chain; ``schema`` is the JSON Schema of the value."""

    def answer(value: Any) -> Any:
        return value

    return Function(
        name="answer",
        description="Give the final answer. This ends the work.",
        parameters={
            "type": "object",
            "properties": {"value": schema},
            "required": ["value"],
            "additionalProperties": False,
        },
        target=answer,
        role="control",
        inline=True,
    )
