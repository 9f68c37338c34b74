"""Local generation: our batches with reused key-value caches beside transformers' own batching.

The same chains of the tiny teacher, greedy, the same limits: once by the backend as it is, all
conversations at a time, once with the prompts of each turn given to ``generate_batch`` of
transformers (continuous batching with paged attention and shared blocks, one manager kept over
the turns, warmed up). Theirs does neither functions nor judging. Rounds are interleaved.

    python benchmarks/continuous_batching.py [--problems 64] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import sys
import time
from itertools import islice
from typing import Any

from callsmith.chain import Chain, Problem
from callsmith.configs import RolloutConfig
from callsmith.executors import Job, Maker
from callsmith.patience import Tally
from callsmith.workspace import Workspace

MAX_TOKENS = 48


async def chains_of(maker: Maker, problems: list[Problem]) -> list[Chain]:
    async with maker.start(Tally()) as make:
        return await asyncio.gather(*(make(Job(problem, 0, 0)) for problem in problems))


def prompts_of(maker: Maker, chains: list[Chain]) -> list[list[list[int]]]:
    """The token ids that each turn of the chains went on from."""
    renderer = maker.backend.renderer  # type: ignore[attr-defined]
    return [
        [
            renderer.encode(
                tuple(maker.prompt.conversation(chain.problem, chain.steps[:turn])),
                maker.prompt.tools,
            )
            for chain in chains
            if turn < len(chain.steps)
        ]
        for turn in range(max(len(chain.steps) for chain in chains))
    ]


class Theirs:
    """``generate_batch`` with room for everything, and the tokens that end a turn."""

    def __init__(self, model: Any, ends: set[int]) -> None:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        self._model = model
        self._settings = {
            "generation_config": GenerationConfig(
                do_sample=False,
                max_new_tokens=MAX_TOKENS,
                eos_token_id=sorted(ends),
                pad_token_id=0,
            ),
            # By default it takes most of the machine's memory.
            "continuous_batching_config": ContinuousBatchingConfig(
                num_blocks=2048, max_batch_tokens=4096
            ),
            "persistent_manager": True,
        }

    def generate(self, turns: list[list[list[int]]]) -> None:
        for prompts in turns:
            made = self._model.generate_batch(prompts, **self._settings)
            assert len(made) == len(prompts)


def seconds(began: tuple[float, float]) -> tuple[float, float]:
    return time.process_time() - began[0], time.perf_counter() - began[1]


async def measure(count: int, rounds: int) -> None:
    from callsmith_transformers.memory import Memory

    workspace = Workspace()
    config = RolloutConfig(task="wordproblems", model="tiny:teacher", max_tokens=MAX_TOKENS)
    task = workspace.task(config)
    maker = await workspace.maker(config, task)
    problems = list(islice(task.problems("test"), count))
    chains = await chains_of(maker, problems)  # loads the model, and gives the turns to repeat
    turns = prompts_of(maker, chains)
    engine = maker.backend._engine  # type: ignore[attr-defined]
    theirs = Theirs(engine.model, engine.ends)
    theirs.generate(turns[:1])
    attention = engine.model.config._attn_implementation
    costs: dict[str, list[tuple[float, float]]] = {"callsmith": [], "generate_batch": []}
    for _ in range(rounds):
        engine.memory = Memory()
        engine.model.set_attn_implementation("sdpa")
        began = time.process_time(), time.perf_counter()
        await chains_of(maker, problems)
        costs["callsmith"].append(seconds(began))
        engine.model.set_attn_implementation(attention)
        began = time.process_time(), time.perf_counter()
        theirs.generate(turns)
        costs["generate_batch"].append(seconds(began))
    await maker.backend.close()
    asked = sum(map(len, turns))
    for name, rows in costs.items():
        cpu, wall = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{name:<15} {1000 * cpu / asked:>6.2f} ms CPU and {1000 * wall / asked:>6.2f} ms a "
            f"turn, {count / wall:>6.1f} chains/s"
        )
    ratio = statistics.median(
        theirs[0] / ours[0] for ours, theirs in zip(*costs.values(), strict=True)
    )
    print(f"generate_batch takes {ratio:.1f} times our CPU, for {asked} turns of {count} chains")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
    asyncio.run(measure(arguments.problems, arguments.rounds))
    sys.stdout.flush()
    os._exit(0)  # the thread of a manager that is kept has no end


if __name__ == "__main__":
    main()
