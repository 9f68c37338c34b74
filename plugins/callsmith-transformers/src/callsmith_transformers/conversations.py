"""A conversation as a student was trained on, from which its template can be found out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from callsmith.backends import Backend, Message
from callsmith.configs import PromptConfig
from callsmith.errors import CallsmithError
from callsmith.isolation import Workers
from callsmith.preparing import make_prompt
from callsmith.workspace import Workspace

UNKNOWN: Message = {"role": "system", "content": "Solve the problem by calling functions."}
"""The system message of a model of which nobody knows what it was trained on."""


def trained_conversation(
    workspace: Workspace, backend: Backend, facts: Mapping[str, Any]
) -> list[Message]:
    """The system message and worked examples of its task, and two short problems after them.

    Every role and every sequence of two roles is in it. It begins with `UNKNOWN` if ``facts`` name
    no task, or none that is here.
    """
    shown = [UNKNOWN]
    if facts.get("task"):
        config = PromptConfig(facts["task"], dialect=facts.get("dialect", "text"))
        with suppress(CallsmithError):  # its plugin is not installed, or its file is gone
            shown = asyncio.run(_shown(workspace, backend, config))
    result = "tool" if backend.capabilities.tool_role else "user"
    turns = [
        ("user", "How much is 2 + 3?"),
        ("assistant", "add(a=2, b=3)"),
        (result, "5"),
        ("assistant", "answer(value=5)"),
        ("user", "And 4?"),
        ("assistant", "answer(value=4)"),
    ]
    return [*shown, *({"role": role, "content": content} for role, content in turns)]


async def _shown(workspace: Workspace, backend: Backend, config: PromptConfig) -> list[Message]:
    task = workspace.task(config)
    config = PromptConfig(config.task, dialect=config.dialect, shots=len(task.examples))
    async with Workers() as workers:
        prompt = await make_prompt(workspace.registry, config, task, backend, workers)
    return list(prompt.messages)
