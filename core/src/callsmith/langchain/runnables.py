"""An agent for LangChain code: a question in, the whole chain out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list

from callsmith import agent
from callsmith.backends import Backend
from callsmith.chain import Chain, Problem
from callsmith.configs import RolloutConfig
from callsmith.errors import DataError
from callsmith.isolation import Workers
from callsmith.langchain.models import LangChainBackend
from callsmith.patience import PatientBackend
from callsmith.preparing import make_prompt, make_ready
from callsmith.tasks import FunctionRef
from callsmith.workspace import Workspace, run_to_end

Question: TypeAlias = str | Problem | Mapping[str, Any]
"""A question, or a mapping with ``question`` and maybe ``context``; its other keys are let be."""


def as_runnable(
    *,
    model: str | BaseChatModel,
    task: str = "",
    functions: Sequence[FunctionRef] | None = None,
    **settings: Any,
) -> Runnable[Question, Chain]:
    """An agent that solves a question with these functions, and gives the chain.

    ``model`` is ``scheme:name`` or a chat model; the rest is as in `callsmith.solve`. A model is
    opened for each ``invoke``, and once for all questions of a ``batch``, whose
    ``max_concurrency`` is the model's own unless the config says another. Raises what
    `callsmith.solve` raises.
    """
    chosen = None if functions is None else tuple(functions)
    spec = model if isinstance(model, str) else f"langchain:{type(model).__name__}"
    config = RolloutConfig(task=task, model=spec, functions=chosen, **settings)
    return _Agent(config, None if isinstance(model, str) else model)


class _Agent(Runnable[Question, Chain]):
    """See `as_runnable`. ``chat_model`` stands in for the model that the config names."""

    def __init__(self, config: RolloutConfig, chat_model: BaseChatModel | None) -> None:
        self.config = config
        self.chat_model = chat_model
        self.name = "callsmith"

    def invoke(self, input: Question, config: RunnableConfig | None = None, **_: Any) -> Chain:
        return run_to_end(self._solve([input], config, lasting_loop=True))[0]

    async def ainvoke(
        self, input: Question, config: RunnableConfig | None = None, **_: Any
    ) -> Chain:
        return (await self._solve([input], config))[0]

    def batch(
        self,
        inputs: list[Question],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[Chain]:
        return run_to_end(self._solve(inputs, config, return_exceptions, lasting_loop=True))

    async def abatch(
        self,
        inputs: list[Question],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[Chain]:
        return await self._solve(inputs, config, return_exceptions)

    async def _solve(
        self,
        inputs: Sequence[Question],
        config: RunnableConfig | Sequence[RunnableConfig] | None,
        return_exceptions: bool = False,
        lasting_loop: bool = False,
    ) -> list[Chain]:
        """The chains of all questions. ``lasting_loop`` is for callers whose own loop ends."""
        if not inputs:
            return []
        configs = get_config_list(config, len(inputs))
        async with self._open(lasting_loop) as (solve, concurrency):
            slots = asyncio.Semaphore(configs[0].get("max_concurrency") or concurrency)

            async def answer(question: Question, config: RunnableConfig) -> Chain:
                async with slots:
                    return await self._acall_with_config(solve, question, config)

            # All are waited for, so that none is left with a model that is closed.
            chains: list[Any] = await asyncio.gather(
                *map(answer, inputs, configs), return_exceptions=True
            )
        if not return_exceptions:
            for failed in chains:
                if isinstance(failed, BaseException):
                    raise failed
        return chains

    @asynccontextmanager
    async def _open(
        self, lasting_loop: bool
    ) -> AsyncIterator[tuple[Callable[[Question], Awaitable[Chain]], int]]:
        """What solves one question, while the model is open, and how many at once suit it."""
        config, work = self.config, Workspace()
        task = work.task(config)
        backend: Backend = (
            LangChainBackend(self.chat_model, config.model, lasting_loop)
            if self.chat_model
            else work.backend(config.model, task, config.model_options)
        )
        try:
            await make_ready(backend, None)
            with work.registry.keeping_packs_open():
                async with Workers() as workers:
                    prompt = await make_prompt(
                        work.registry, config, task, backend, workers, config.constrain
                    )
                    patient = PatientBackend(backend, config.max_retries, config.timeout)

                    async def solve(question: Question) -> Chain:
                        return await agent.solve(
                            _problem(question),
                            patient,
                            prompt,
                            workers,
                            sampling=config.sampling,
                            limits=config.limits,
                            setup=work.setup(config, prompt),
                            seed=config.seed,
                        )

                    yield solve, config.concurrency or backend.capabilities.concurrency
        finally:
            await backend.close()


def _problem(question: Question) -> Problem:
    if isinstance(question, Problem):
        return question
    if isinstance(question, str):
        return Problem(question)
    if isinstance(question, Mapping) and isinstance(question.get("question"), str):
        return Problem(question["question"], context=str(question.get("context", "")))
    raise DataError(
        "an agent takes a question: a text, a mapping with 'question', or a Problem, "
        f"not {question!r:.80}"
    )
