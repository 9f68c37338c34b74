"""The forward passes of one batch: prompts in, the next token's logits out, step by step.

Rows are padded on the left, so that they all end in the same column. `FastBatch` keeps keys and
values in buffers of its own: nothing is copied as rows grow, a prompt whose beginning was seen
before (a `Past`: the chain's last turn, or the few-shot turns of another chain) is computed from
there on only, and rows with much to read are not read together with rows that have little.
`PlainBatch` leaves it all to transformers, for architectures with caches or masks of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

Ids: TypeAlias = Sequence[int]

SPARE = 32
"""Columns that buffers are made longer by than is needed at the moment."""

AT_ONCE, AT_ONCE_ON_CPU = 16_384, 1_024
"""Tokens that one forward pass reads: more would fill a GPU's memory, or not fit a CPU's caches."""


@dataclass(frozen=True, slots=True)
class Past:
    """Tokens already read, with their keys and values: for each layer ``[heads, token, width]``."""

    ids: list[int]
    layers: list[tuple[Tensor, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class Batch(Protocol):
    """``logits`` are the next token's, a row for each prompt still kept."""

    logits: Tensor

    def advance(self, tokens: Tensor) -> None:
        """Read one more token in each row."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""

    def past(self, row: int) -> Past | None:
        """What was read in a row up to now, to be gone on from later."""


class PlainBatch:
    """Any causal model of transformers."""

    logits: Tensor

    def __init__(self, model: Any, prompts: Sequence[Ids]) -> None:
        self._model = model
        self._takes = inspect.signature(model.forward).parameters
        self._cache = DynamicCache(config=model.config)
        width = max(map(len, prompts))
        ids = [[0] * (width - len(p)) + list(p) for p in prompts]
        attend = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
        self._attend = torch.tensor(attend, device=model.device)
        self._forward(torch.tensor(ids, device=model.device))

    def advance(self, tokens: Tensor) -> None:
        self._attend = torch.cat([self._attend, self._attend.new_ones(len(tokens), 1)], dim=1)
        self._forward(tokens[:, None])

    def keep(self, rows: Tensor) -> None:
        self._attend, self.logits = self._attend[rows], self.logits[rows]
        self._cache.batch_select_indices(rows)

    def past(self, row: int) -> Past | None:
        return None

    def _forward(self, ids: Tensor) -> None:
        positions = (self._attend.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        optional = {"position_ids": positions, "logits_to_keep": 1}
        self.logits = self._model(
            input_ids=ids,
            attention_mask=self._attend,
            past_key_values=self._cache,
            use_cache=True,
            **{name: value for name, value in optional.items() if name in self._takes},
        ).logits[:, -1]


class FastBatch:
    """Models whose layers all have a plain cache, and that take a mask as it is: see `is_fast`.

    Of prompt ``i`` the first ``reused[i]`` tokens are taken from ``pasts[i]``. Rows come sorted by
    the number of the others.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Ids],
        pasts: Sequence[Past | None] = (),
        reused: Sequence[int] = (),
    ) -> None:
        self._model = model
        self._rows: list[list[int]] = [list(prompt) for prompt in prompts]
        self._column = width = max(map(len, prompts))
        device = model.device
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self._pads = width - lengths
        columns = torch.arange(width + SPARE, device=device)
        self._visible = (columns >= self._pads[:, None])[:, None, None]
        count = len(DynamicCache(config=model.config).layers)
        self._layers = [_Buffer(len(prompts)) for _ in range(count)]
        self._cache = Cache(layers=self._layers)
        fresh = [len(p) - r for p, r in zip(prompts, reused or [0] * len(prompts), strict=True)]
        logits = []
        most = AT_ONCE_ON_CPU if device.type == "cpu" else AT_ONCE
        for first, last in pairwise(_groups(fresh, most)):
            self._place(pasts[first:last], first, width - max(fresh[first:last]))
            logits.append(self._read(first, last, max(fresh[first:last])))
        self.logits = torch.cat(logits)
        self._aim(slice(None), width)

    def _aim(self, rows: slice, column: int) -> None:
        for layer in self._layers:
            layer.rows, layer.column = rows, column

    def _place(self, pasts: Sequence[Past | None], first: int, end: int) -> None:
        """Hand the layers what stands before column ``end``; they know their shapes only later."""
        for row, past in enumerate(pasts, first):
            begin = self._column - len(self._rows[row])
            if past and end > begin:
                for layer, (keys, values) in zip(self._layers, past.layers, strict=True):
                    known = slice(0, end - begin)
                    layer.given.append((row, begin, end, keys[:, known], values[:, known]))

    def _read(self, first: int, last: int, fresh: int) -> Tensor:
        """Read the last ``fresh`` tokens of these prompts."""
        width, device = self._column, self._model.device
        rows = [row[-fresh:] for row in self._rows[first:last]]
        ids = torch.tensor([[0] * (fresh - len(row)) + row for row in rows], device=device)
        columns = torch.arange(width, device=device)
        here = columns[width - fresh :, None]
        # A padding token sees itself, since seeing nothing at all gives NaN.
        mask = self._visible[first:last, :, :, :width] & (columns <= here) | (columns == here)
        positions = (here.T - self._pads[first:last, None]).clamp(min=0)
        self._aim(slice(first, last), width - fresh)
        return self._forward(ids, mask, positions)

    def advance(self, tokens: Tensor) -> None:
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            row.append(token)
        end = self._column + 1
        if end > self._visible.shape[-1]:
            more = self._visible.new_ones(len(tokens), 1, 1, SPARE)
            self._visible = torch.cat([self._visible, more], dim=-1)
        positions = (self._column - self._pads)[:, None]
        self.logits = self._forward(tokens[:, None], self._visible[..., :end], positions)
        self._column = end

    def keep(self, rows: Tensor) -> None:
        self._rows = [self._rows[row] for row in rows.tolist()]
        self._pads, self._visible, self.logits = (
            self._pads[rows], self._visible[rows], self.logits[rows],
        )  # fmt: skip
        for layer in self._layers:
            layer.select(rows)

    def past(self, row: int) -> Past | None:
        read = slice(self._column - len(self._rows[row]), self._column)
        layers = [
            (layer.all_keys[row, :, read].clone(), layer.all_values[row, :, read].clone())
            for layer in self._layers
        ]
        return Past(self._rows[row].copy(), layers)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        logits: Tensor = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return logits


class _Buffer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values for all rows. ``rows`` and ``column`` say where to write next."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.rows = slice(None)
        self.column = 0
        self.given: list[tuple[int, int, int, Tensor, Tensor]] = []
        self.all_keys: Tensor = torch.empty(0)
        self.all_values: Tensor = torch.empty(0)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        end = self.column + key_states.shape[2]
        self.all_keys = self._fit(self.all_keys, key_states, end)
        self.all_values = self._fit(self.all_values, value_states, end)
        for row, first, last, keys, values in self.given:
            self.all_keys[row, :, first:last] = keys
            self.all_values[row, :, first:last] = values
        self.given.clear()
        self.all_keys[self.rows, :, self.column : end] = key_states
        self.all_values[self.rows, :, self.column : end] = value_states
        self.column = end
        return self.all_keys[self.rows, :, :end], self.all_values[self.rows, :, :end]

    def _fit(self, buffer: Tensor, states: Tensor, end: int) -> Tensor:
        if buffer.ndim == 4 and buffer.shape[2] >= end:
            return buffer
        _, heads, _, width = states.shape
        longer = states.new_empty(self.count, heads, end + SPARE, width)
        if buffer.ndim == 4:
            longer[:, :, : buffer.shape[2]] = buffer
        else:
            longer.zero_()  # what is masked must still be a number
        return longer

    def select(self, rows: Tensor) -> None:
        self.count = len(rows)
        self.all_keys, self.all_values = self.all_keys[rows], self.all_values[rows]

    def get_seq_length(self) -> int:
        return self.column


def _groups(fresh: Sequence[int], most: int) -> list[int]:
    """Where to cut rows, sorted by how much there is to read, so that little of it is padding and
    no part has more than ``most`` tokens, unless one row does."""
    cuts = [0]
    for row, count in enumerate(fresh):
        first = cuts[-1]
        # Below this, reading padding costs less than another forward pass does.
        if count > 1.5 * fresh[first] + 8 or (row > first and (row - first + 1) * count > most):
            cuts.append(row)
    return [*cuts, len(fresh)]


def is_fast(model: Any) -> bool:
    """Whether `FastBatch` gives for this model what `PlainBatch` gives. Tried, not guessed."""
    prompts = [[1], [1, 2, 3], [3, 2, 1, 2, 3]]
    step = torch.tensor([1, 2, 3], device=model.device)
    layers = DynamicCache(config=model.config).layers
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return False
    plain, results = PlainBatch(model, prompts), []
    plain.advance(step)
    try:
        whole = FastBatch(model, prompts)
        whole.advance(step)
        # The same, its first tokens taken from another batch.
        pasts = [whole.past(row) for row in range(3)]
        again = FastBatch(model, [[1, 1], [1, 2, 3, 2], [3, 2, 1, 2, 3, 3]], pasts, [1, 3, 5])
        results = [whole.logits, again.logits]
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return False
    tolerance = 1e-4 if model.dtype == torch.float32 else 0.05
    scale = plain.logits.abs().max()
    return all(bool((found - plain.logits).abs().max() <= tolerance * scale) for found in results)
