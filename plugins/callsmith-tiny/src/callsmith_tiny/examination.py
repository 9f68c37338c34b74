"""How well a model folder does, by callsmith's own loop: the numbers on the model cards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from callsmith.agent import Limits, solve
from callsmith.chain import Chain, Problem, Sampling, Verdict
from callsmith.dialects import Prompt
from callsmith.isolation import Workers
from callsmith_tiny.corpus import STEPS

TRIES = 8


@dataclass(frozen=True, slots=True)
class Marks:
    """Shares of problems, or of sampled chains, that were solved. ``any_of`` is of `TRIES`."""

    problems: int
    greedy: float
    sampled: float
    any_of: float
    direct: float


async def examine(
    folder: Path,
    judge: Callable[[Problem, Chain], Verdict],
    problems: Sequence[Problem],
    prompt: Prompt,
    direct: Prompt,
) -> Marks:
    """Solve the problems greedily, by sampling, and with no function to call."""
    from callsmith_transformers.backend import open_backend

    backend = open_backend(str(folder))

    async def solved(problem: Problem, prompt: Prompt, temperature: float, attempt: int) -> bool:
        sampling = Sampling(temperature=temperature, max_tokens=64)
        chain = await solve(
            problem,
            backend,
            prompt,
            workers,
            sampling=sampling,
            limits=Limits(steps=STEPS),
            seed=attempt,
            attempt=attempt,
        )
        return judge(problem, chain).correct

    async with Workers() as workers:
        greedy = await asyncio.gather(*(solved(p, prompt, 0.0, 0) for p in problems))
        alone = await asyncio.gather(*(solved(p, direct, 0.0, 0) for p in problems))
        tries = [
            await asyncio.gather(*(solved(p, prompt, 1.0, attempt) for p in problems))
            for attempt in range(TRIES)
        ]
    await backend.close()
    count = len(problems)
    return Marks(
        problems=count,
        greedy=sum(greedy) / count,
        sampled=sum(map(sum, tries)) / (count * TRIES),
        any_of=sum(map(any, zip(*tries, strict=True))) / count,
        direct=sum(alone) / count,
    )
