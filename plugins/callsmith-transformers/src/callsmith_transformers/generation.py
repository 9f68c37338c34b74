"""Batched sampling: rows of one batch, each with its own seed, limits and temperature.

A row's tokens depend on its own seed and never on what else is in the batch: its random numbers
are drawn beforehand, one for each token, and turned into tokens by inverting the cumulative
distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from callsmith_transformers.batches import Batch, FastBatch, Past, PlainBatch


@dataclass(slots=True)
class Row:
    """A prompt to go on from. The first ``reused`` of its tokens are those of ``past``."""

    prompt: list[int]
    max_tokens: int
    seed: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    past: Past | None = None
    reused: int = 0


@dataclass(slots=True)
class Written:
    """What was generated for a Row, the token that ended it included.

    ``past`` is everything that the model read by then, if that can be used again.
    """

    ids: list[int] = field(default_factory=list)
    finish: Literal["stop", "length"] = "length"
    past: Past | None = None


@torch.inference_mode()
def generate(
    model: Any,
    rows: Sequence[Row],
    ends: Collection[int],
    decode: Callable[[list[int]], str],
    fast: bool = False,
) -> list[Written]:
    """Go on from each row's prompt until a token of ``ends``, a stop string or its limit.

    ``decode`` is only needed for stop strings. ``fast`` says that the model is one `is_fast`
    accepts.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt) - rows[i].reused)
    written = [Written() for _ in rows]
    batch: Batch
    if fast:
        chosen = [rows[i] for i in order]
        batch = FastBatch(
            model, [r.prompt for r in chosen], [r.past for r in chosen], [r.reused for r in chosen]
        )
    else:
        batch = PlainBatch(model, [rows[i].prompt for i in order])
    pick = Picker([rows[i] for i in order], model.device)
    ended = [False] * len(order)
    while True:
        tokens = pick(batch.logits)
        for place, token in enumerate(tokens.tolist()):
            row, made = rows[order[place]], written[order[place]]
            if ended[place]:
                continue
            made.ids.append(token)
            if token in ends or (row.stop and _stops(made.ids, row.stop, decode)):
                made.finish = "stop"
            elif len(made.ids) < row.max_tokens:
                continue
            ended[place] = True
            made.past = batch.past(place)
        if all(ended):
            return written
        if 2 * sum(ended) >= len(ended):
            # Ended rows go on being computed until leaving them out saves more than it copies.
            kept = [place for place, done in enumerate(ended) if not done]
            index = torch.tensor(kept, device=model.device)
            order, ended = [order[place] for place in kept], [False] * len(kept)
            tokens = tokens[index]
            batch.keep(index)
            pick.keep(index)
        batch.advance(tokens)


class Picker:
    """Chooses each row's next token from its logits."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self._step = 0
        self._sampled = any(row.temperature > 0 for row in rows)
        self._nucleus = any(row.top_p < 1 for row in rows)
        if not self._sampled:
            return
        noise = torch.zeros(len(rows), max(row.max_tokens for row in rows))
        for line, row in zip(noise, rows, strict=True):
            generator = torch.Generator().manual_seed(row.seed)
            torch.rand(row.max_tokens, generator=generator, out=line[: row.max_tokens])
        self._noise = noise.to(device)
        self._temperature = torch.tensor([[row.temperature] for row in rows], device=device)
        self._top_p = torch.tensor([[row.top_p] for row in rows], device=device)

    def keep(self, rows: Tensor) -> None:
        if self._sampled:
            self._noise, self._temperature = self._noise[rows], self._temperature[rows]
            self._top_p = self._top_p[rows]

    def __call__(self, logits: Tensor) -> Tensor:
        best = logits.argmax(-1)
        if not self._sampled:
            return best
        noise = self._noise[:, self._step, None]
        self._step += 1
        # Greedy rows are overwritten at the end; their temperature must only not be 0.
        warm = self._temperature.clamp(min=1e-4)
        chances = (logits.float() / warm).softmax(-1)
        if self._nucleus:
            chances, tokens = chances.sort(dim=-1, descending=True, stable=True)
            # The smallest set of likeliest tokens that reaches top_p: the first always is in it.
            before = chances.cumsum(-1) - chances
            chances = chances.masked_fill(before >= self._top_p, 0)
        sums = chances.cumsum(-1)
        # Not quite 1, so that rounding can't choose beyond the last token that has a chance.
        drawn = (sums <= noise * (1 - 2**-20) * sums[:, -1:]).sum(-1)
        if self._nucleus:
            drawn = tokens.gather(-1, drawn[:, None])[:, 0]
        return torch.where(self._temperature[:, 0] > 0, drawn, best)


def _stops(ids: list[int], stop: tuple[str, ...], decode: Callable[[list[int]], str]) -> bool:
    # A token has at least one byte, so a string that just ended began at most so many tokens ago.
    longest = max(len(text.encode()) for text in stop)
    tail = decode(ids[-longest - 4 :])
    return any(text in tail for text in stop)
