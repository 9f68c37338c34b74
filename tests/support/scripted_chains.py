"""Chains of models that say what they are told to, made at the same time and turn by turn.

Run as a script, with JSON on standard input: ``functions`` to offer, ``question`` and ``context``,
and ``scripts``, the turns of each chain, which must be equally many. Prints a list of the chains as
JSON: what each call gave or was told, and the state in the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from callsmith import Chain, Problem
from callsmith.langchain import as_runnable


async def make_chains(
    functions: Sequence[str], problem: Problem, scripts: Sequence[Sequence[str]]
) -> list[Chain]:
    barrier = asyncio.Barrier(len(scripts))

    class Model(GenericFakeChatModel):
        """Waits before each turn until all others have come as far."""

        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await barrier.wait()
            return self._generate(*args, **kwargs)

    agents = [
        as_runnable(
            model=Model(messages=iter(turns)), functions=functions, steps=len(turns), calls=200
        )
        for turns in scripts
    ]
    return await asyncio.gather(*(agent.ainvoke(problem) for agent in agents))


def told(chain: Chain) -> dict[str, Any]:
    results = [
        result.value if result.fault is None else f"{result.fault.kind}: {result.fault.message}"
        for result in chain.results
    ]
    return {
        "results": results,
        "stop": chain.stop,
        "answer": chain.answer,
        "state": chain.steps[-1].state,
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    problem = Problem(asked["question"], context=asked["context"])
    chains = asyncio.run(make_chains(asked["functions"], problem, asked["scripts"]))
    json.dump([told(chain) for chain in chains], sys.stdout)
