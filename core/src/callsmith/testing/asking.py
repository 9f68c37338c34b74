"""What the checks of a backend ask for, and what a person must be able to read."""

from __future__ import annotations

from collections.abc import Sequence

from callsmith.backends import Message, Request
from callsmith.chain import JSON, Call, Dialect, Fault, Problem, Result, Sampling, Step
from callsmith.dialects import Prompt
from callsmith.errors import CallsmithError
from callsmith.functions import Function
from callsmith.testing.report import Failed

MANY = 64
"""Requests at once."""

UNKNOWN = "no-such-model-for-callsmith"

QUESTION = "Count from one to twenty in words."


def _function(name: str, description: str, **properties: JSON) -> Function:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return Function(
        name, description, schema | {"additionalProperties": False}, target=lambda: None
    )


_DIGIT: JSON = {"type": "integer", "enum": [1, 2, 3]}

ADD = _function("add", "Add b to a.", a=_DIGIT, b=_DIGIT)

MEASURE = _function(
    "measure",
    "Measure spans.",
    spans={
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": {
                "length": {"type": "integer", "minimum": 0, "maximum": 9, "description": "How far"},
                "unit": {"anyOf": [{"type": "string", "enum": ["mm", "cm"]}, {"type": "null"}]},
            },
            "required": ["length"],
        },
    },
)
"""Its schema has bounds, alternatives, and properties within properties."""

PROBLEM = Problem("What is 1 plus 2, and 3 plus 3? Call add for each.")

STEPS = (
    Step(
        "I add both.",
        (Call("add", {"a": 1, "b": 2}, "call00001"), Call("add", {"a": 3, "b": 3}, "call00002")),
        (Result(3), Result(6)),
    ),
    Step(
        "",
        (Call("add", {"a": 1, "b": 7}, "call00003"),),
        (Result(fault=Fault("bad_arguments", "b must be 1, 2 or 3")),),
    ),
    Step("That is all.", fault=Fault("no_call", "there is no call in that")),
)
"""Several calls in a turn, a call that is refused, and a turn without any."""


def prompt_of(dialect: Dialect, *others: Function, constrained: bool = False) -> Prompt:
    """The prompt before `PROBLEM`, with the function ``add`` and these."""
    functions = {function.name: function for function in (ADD, *others)}
    return Prompt("Solve it.", functions, dialect=dialect, constrained=constrained)


def ask(
    said: str | Sequence[Message] = QUESTION,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    max_tokens: int = 32,
) -> Request:
    """A request for a short turn."""
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    return Request(
        messages=messages,
        sampling=Sampling(temperature, max_tokens=max_tokens),
        seed=seed,
        problem=Problem(said if isinstance(said, str) else QUESTION),
    )


def one_sentence(error: CallsmithError, *named: str) -> None:
    """Raises Failed unless the message can be shown to a person as it is, and names these."""
    message = str(error)
    if not message.strip() or "\n" in message or len(message) > 500 or "<html" in message.lower():
        raise Failed(f"the message is no sentence for a person: {message[:200]!r}")
    for name in named:
        if name not in message:
            raise Failed(f"the message does not name {name}: {message}")
