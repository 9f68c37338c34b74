"""What the tiny models are trained on: chains really run through callsmith's loop, as token ids.

A chain is planned, run with the real functions, and rendered by the renderer that the product
uses, so that what a model learns to write is what it will be shown.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from callsmith.agent import Limits, solve
from callsmith.backends import Capabilities, Completion, Previous, Request
from callsmith.chain import JSON, Call, Chain, Problem, Result, Setup
from callsmith.dialects import Prompt
from callsmith.functions import format_call
from callsmith.isolation import Workers
from callsmith_tiny.habits import Plan, Turn
from callsmith_tiny.tokenizer import ASSISTANT, END

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

Planner: TypeAlias = Callable[[Problem, Sequence[Call], random.Random], Plan]
"""Gives a chain to learn for a problem, of which it is told the right calls."""

DIRECT = 0.1
"""The share of examples that answer at once, with no function to call."""

CHAINS = (1, 1, 2, 3)
"""How many chains there may be in one example."""

STEPS = 40
"""Turns of the longest chain: as many as any planned one takes."""

BATCH = 10
POOL = 32
"""Batches that are sorted by length together, so that little of a batch is padding."""


@dataclass
class Writer:
    """A backend that writes planned turns, as text."""

    plan: Plan
    prompt: Prompt
    name: str = "writer"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(dialects=("text",)))

    async def prepare(self) -> None:
        """There is nothing to look for."""

    async def complete(self, request: Request) -> Completion:
        if len(request.steps) >= len(self.plan):
            return Completion()
        turn = self.plan[len(request.steps)]
        made = [result for step in request.steps for result in step.results if not result.fault]
        call = turn.call
        arguments = {name: _filled(value, made) for name, value in call.arguments.items()}
        text = format_call(replace(call, arguments=arguments), self.prompt.functions.get(call.name))
        return Completion(text.removesuffix(")") if turn.unclosed else text)

    async def close(self) -> None:
        """Nothing is held open."""


def _filled(value: JSON, made: Sequence[Result]) -> JSON:
    if isinstance(value, Previous):
        return made[-value.back].value if value.back <= len(made) else None
    return value


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and which of them the model is to write."""

    ids: list[int]
    learn: list[bool]


@dataclass
class Corpus:
    """Makes examples of fresh ``problems``, their chains planned by ``planner``.

    ``reference`` gives the right calls of a problem. ``prompt`` offers the functions, ``direct``
    no function but ``answer``: ``share`` of the examples answer at once. ``chains``
    are how many there may be in one of the others.
    """

    tokenizer: PreTrainedTokenizerFast
    prompt: Prompt
    direct: Prompt
    reference: Callable[[Problem], Sequence[Call]]
    problems: Iterator[Problem]
    planner: Planner
    workers: Workers
    dice: random.Random
    share: float = DIRECT
    chains: Sequence[int] = CHAINS

    async def batches(self) -> AsyncIterator[tuple[Tensor, Tensor]]:
        """Ids and the mask of those to learn, for ever. The examples in a batch are of one length,
        more or less."""
        while True:
            examples = [await self.example() for _ in range(BATCH * POOL)]
            examples.sort(key=lambda example: len(example.ids))
            starts = list(range(0, len(examples), BATCH))
            self.dice.shuffle(starts)
            for start in starts:
                yield stack(examples[start : start + BATCH], self.tokenizer.pad_token_id)

    async def example(self) -> Example:
        """One to three chains in one conversation, as after few-shot chains; or an answer alone."""
        if self.dice.random() < self.share:
            problem = next(self.problems)
            plan = (Turn(Call("answer", {"value": problem.gold})),)
            return self._encode([await self._run(problem, plan, self.direct)], self.direct)
        count = self.dice.choice(self.chains)
        return self._encode([await self.chain() for _ in range(count)], self.prompt)

    async def chain(self) -> Chain:
        """A planned chain of a fresh problem. One whose plan can't be carried out is left out."""
        while True:
            problem = next(self.problems)
            plan = self.planner(problem, self.reference(problem), self.dice)
            chain = await self._run(problem, plan, self.prompt)
            if chain.stop == "answer":
                return chain

    async def _run(self, problem: Problem, plan: Plan, prompt: Prompt) -> Chain:
        setup = Setup(dialect="text")
        writer, limits = Writer(plan, prompt), Limits(steps=STEPS)
        return await solve(problem, writer, prompt, self.workers, limits=limits, setup=setup)

    def _encode(self, chains: Sequence[Chain], prompt: Prompt) -> Example:
        *before, last = chains
        messages = replace(prompt, examples=tuple(before)).conversation(last.problem, last.steps)
        text = self.tokenizer.apply_chat_template(messages, tokenize=False)
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        assistant, end = self.tokenizer.convert_tokens_to_ids([ASSISTANT, END])
        learn, writing = [], False
        for token in ids:
            learn.append(writing)
            writing = token == assistant or (writing and token != end)
        return Example(ids, learn)


def stack(batch: Sequence[Example], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and the mask of those to learn, padded on the right."""
    import torch

    width = max(len(example.ids) for example in batch)
    ids = torch.full((len(batch), width), pad)
    learn = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        learn[row, : len(example.ids)] = torch.tensor(example.learn)
    return ids, learn
