"""What a model has read is kept for a while: a chain's next turn goes on from its last one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence

import torch

from callsmith_transformers.batches import Past

ROOM = 1 << 30
"""Bytes that pasts may take where the device does not say what it has left."""


class Memory:
    """Pasts by conversation, the longest unused ones forgotten beyond ``limit`` bytes.

    What comes back is checked against the prompt's own tokens, so a wrong key costs time and
    changes nothing. Used from several threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pasts: OrderedDict[Hashable, Past] = OrderedDict()
        self._bytes = 0
        self._latest: Past | None = None
        self._lock = threading.Lock()

    def find(self, key: Hashable, prompt: Sequence[int]) -> tuple[Past | None, int]:
        """A past, and how many of the prompt's tokens it holds; the last one must be read anew."""
        with self._lock:
            past = self._pasts.pop(key, None)
            if past:
                self._bytes -= past.bytes
            # The beginning of another conversation: the system message, the few-shot turns.
            past = past or self._latest
        shared = min(_common(past.ids, prompt), len(prompt) - 1) if past else 0
        return (past, shared) if shared else (None, 0)

    def keep(self, key: Hashable, past: Past) -> None:
        with self._lock:
            self._pasts[key] = self._latest = past
            self._bytes += past.bytes
            while self._bytes > self._limit:
                self._bytes -= self._pasts.popitem(last=False)[1].bytes

    def clear(self) -> None:
        with self._lock:
            self._pasts.clear()
            self._latest, self._bytes = None, 0


def room_for_pasts(device: torch.device) -> int:
    """Bytes that pasts may take: of a GPU a third of what it has left, else `ROOM`."""
    return torch.cuda.mem_get_info(device)[0] // 3 if device.type == "cuda" else ROOM


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
