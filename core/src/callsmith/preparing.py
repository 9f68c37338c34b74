"""Before the first problem: the model is there, a dialect is chosen, the prompt is made."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from callsmith.agent import worked_examples
from callsmith.backends import Backend, Capabilities, OnPull, Puller
from callsmith.chain import Dialect
from callsmith.configs import PromptConfig
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.errors import PluginError, Rejected, Unavailable
from callsmith.isolation import Workers
from callsmith.plugins import Registry
from callsmith.tasks import Task
from callsmith.waiting import Watch, wait_before_retry

LOADING = (429, 503)
"""Statuses of a server that is there, and will soon say more, as while it loads a model."""


async def make_ready(
    backend: Backend,
    on_pull: OnPull | None,
    max_retries: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Look whether the model is there; with ``on_pull`` fetch it first.

    A server that is still loading is waited for, as often as ``max_retries`` says and ``tell`` is
    told; one that can't be reached is not. Raises Rejected or Unavailable.
    """
    if on_pull:
        if not isinstance(backend, Puller):
            raise Rejected(f"{backend.name} can't be fetched: leave out --pull")
        await backend.pull(on_pull)
    watch = Watch(tell, quiet=0.0)
    for tried in itertools.count():
        try:
            await backend.prepare()
            watch.answers()
            return
        except Unavailable as error:
            if error.status not in LOADING:
                raise
            seconds = wait_before_retry(error, tried, max_retries)
            watch.waits(seconds, error)
            await asyncio.sleep(seconds)


async def make_prompt(
    registry: Registry,
    config: PromptConfig,
    task: Task,
    backend: Backend,
    workers: Workers,
    constrain: bool = False,
) -> Prompt:
    """What this model is shown of this task, with the few-shot chains executed.

    Raises Rejected for a dialect that the model can't do, and PluginError for functions that
    can't be offered together.
    """
    able = backend.capabilities
    dialect = _choose_dialect(config.dialect, able, constrain, backend.name)
    chosen = registry.functions(task.functions if config.functions is None else config.functions)
    for name in {"answer", "reasoning"} & set(chosen):
        raise PluginError(
            f"{chosen[name].qualified_name} has the name of a built-in function: rename it"
        )
    if chosen:
        chosen["reasoning"] = reasoning
    chosen["answer"] = answer_function(task.answer)
    bare = Prompt(
        task.instructions,
        chosen,
        dialect=dialect,
        tool_role=able.tool_role,
        forget_faults=config.forget_faults,
        constrained=constrain,
    )
    # Examples make calls: without functions there are none to show.
    shots = able.shots if config.shots is None else config.shots
    examples = task.examples[:shots] if len(chosen) > 1 else ()
    return replace(bare, examples=await worked_examples(examples, bare, workers))


def describe_choice(config: PromptConfig, prompt: Prompt, backend: Backend) -> str:
    """``dialect native: the server says that the model takes tools``; empty if it was asked for."""
    reason = backend.capabilities.reason
    if config.dialect != "auto" or not reason:
        return ""
    if prompt.constrained:
        reason = "in it the server can hold the model to valid calls"
    return f"dialect {prompt.dialect}: {reason}"


def _choose_dialect(
    wanted: Literal["auto", "text", "native", "json"],
    able: Capabilities,
    constrain: bool,
    name: str,
) -> Dialect:
    """The dialect asked for, or the first that the model can do."""
    possible = able.constrains if constrain else able.dialects
    if not possible:
        raise Rejected(f"{name} can't hold a model to valid calls: leave out --constrain")
    if wanted == "auto":
        return possible[0]
    if wanted not in possible:
        held = " with --constrain" if constrain else ""
        raise Rejected(
            f"{name} does not do the {wanted} dialect{held}: use --dialect {' or '.join(possible)}"
        )
    return wanted
