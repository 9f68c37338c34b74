"""The order in which examples are trained on: random, with those of like length in one step.

In a batch of chains of one to five calls drawn at random, half the tokens are padding.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

POOL = 32
"""Steps whose examples are sorted by length together: fewer are more random, more pad less."""


class LikeLengths(Sampler[int]):
    """Indices of examples, each once an epoch. The order depends on seed and epoch alone."""

    def __init__(self, lengths: Sequence[int], per_step: int, seed: int) -> None:
        self.lengths = lengths
        self.per_step = per_step
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        # What is left over goes last: the other steps have to stay whole.
        whole = len(order) - len(order) % self.per_step
        steps = []
        for start in range(0, whole, POOL * self.per_step):
            pool = order[start : min(start + POOL * self.per_step, whole)]
            pool.sort(key=self.lengths.__getitem__)
            steps += [pool[i : i + self.per_step] for i in range(0, len(pool), self.per_step)]
        rng.shuffle(steps)
        return iter([index for step in [*steps, order[whole:]] for index in step])
