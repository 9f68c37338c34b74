"""How long a prompt is, before any model has read it."""

from __future__ import annotations

import json

from callsmith.chain import Dialect, Problem
from callsmith.dialects import Prompt
from callsmith.testing.report import Failed

CHARACTERS = 3
"""Characters in a token, guessed low: English has about 4, JSON and symbols 3."""

ROOM = 0.25
"""The share of the context that is left for the work."""

DIALECTS: tuple[Dialect, ...] = ("text", "native")


def check_fit(prompts: dict[Dialect, Prompt], problem: Problem, context: int) -> str:
    """How many tokens the prompts have with a problem. Raises Failed if one is too long."""
    sizes = {dialect: tokens(prompt, problem) for dialect, prompt in prompts.items()}
    shown = ", ".join(f"{size:,} in {dialect}" for dialect, size in sizes.items())
    if max(sizes.values()) > context * (1 - ROOM):
        raise Failed(
            f"about {shown}: over {1 - ROOM:.0%} of {context:,}, too little is left for the work; "
            "offer fewer functions, or say less of each"
        )
    return f"about {shown}"


def tokens(prompt: Prompt, problem: Problem) -> int:
    """About as many tokens as the prompt and a problem have."""
    written = json.dumps([prompt.conversation(problem), prompt.tools], ensure_ascii=False)
    return len(written.encode()) // CHARACTERS
