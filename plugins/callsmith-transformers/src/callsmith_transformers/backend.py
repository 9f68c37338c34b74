"""``hf:PATH_OR_NAME``: a local Hugging Face model as a backend, its requests batched.

Nothing is loaded before it is needed: opening looks only whether there is a model, the tokenizer
is read for the capabilities, the weights for the first completion.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsmith.backends import Capabilities, Completion, Request
from callsmith.chain import JSON, Dialect, Usage
from callsmith.errors import CallsmithError, ContextOverflow, DataError, Rejected
from callsmith.models import MARKER
from callsmith_transformers.gathering import Gathering
from callsmith_transformers.models import check_weights, load_model, read_config, resolve
from callsmith_transformers.rendering import Renderer, load_tokenizer

if TYPE_CHECKING:
    from callsmith.tasks import Task
    from callsmith_transformers.generation import Row, Written

SMALL = 50_000_000
"""Parameters below which one core for each batch beats all cores for one batch, on a CPU."""


def open_backend(
    name: str, *, task: Task | None = None, device: str = "auto", batch: int = 64
) -> HFBackend:
    """The model in a folder or of a hub name.

    ``device`` is "cuda:1" or the like, "auto" the best there is; ``batch`` the most conversations
    in one batch. Raises Rejected where there is no model, and for a batch of less than one.
    """
    if batch < 1:
        raise Rejected(f"batch is a whole number of 1 or more, not {batch!r}")
    return HFBackend(f"hf:{name}", resolve(name), device, batch)


class HFBackend:
    """A causal model in this process. ``weights`` is its folder or hub name."""

    def __init__(self, name: str, weights: str, device: str, batch: int) -> None:
        self.name = name
        self.weights = weights
        self._device = device
        self._batch = batch
        self._engine: Engine | None = None
        self._loading = threading.Lock()

    @cached_property
    def renderer(self) -> Renderer:
        """Raises CallsmithError if the model has no usable tokenizer."""
        return Renderer(load_tokenizer(self.weights), self.weights)

    @cached_property
    def capabilities(self) -> Capabilities:
        """Read from the chat template and the configuration."""
        native = self.renderer.native
        trained = facts_of(self.weights)
        able: tuple[Dialect, ...] = ("native", "text", "json") if native else ("text", "json")
        reason = f"its chat template {'shows' if native else 'has no'} functions"
        if trained.get("dialect") in able:
            able = (trained["dialect"], *(each for each in able if each != trained["dialect"]))
            reason = "it was trained in that dialect"
        return Capabilities(
            dialects=able,
            tool_role=self.renderer.tool_role,
            shots=trained.get("shots"),
            context=self._context,
            # Enough to choose from for the next batch, while one is worked on.
            concurrency=3 * self._batch,
            reason=reason,
        )

    @cached_property
    def _context(self) -> int:
        settings = read_config(self.weights).get_text_config()
        return int(getattr(settings, "max_position_embeddings", None) or 0)

    async def prepare(self) -> None:
        """Look whether there are weights and a usable tokeniser. The weights are not read yet.

        Raises Rejected.
        """
        check_weights(self.weights)
        try:
            await asyncio.to_thread(lambda: self.capabilities)
        except DataError as error:
            raise Rejected(str(error)) from error

    async def complete(self, request: Request) -> Completion:
        """The model's next turn, as it wrote it, without the token that ends it.

        Raises ContextOverflow, and Rejected for whatever else keeps the model from answering.
        """
        if request.sampling.extra:
            given = ", ".join(request.sampling.extra)
            raise Rejected(f"{self.name} samples by temperature and top_p only, not by {given}")
        # Loading takes seconds: not in the event loop.
        engine = self._engine
        if engine is None:
            engine = await asyncio.to_thread(self._load)
        return await engine.gathering.ask(request)

    async def close(self) -> None:
        """End the threads and let go of the model."""
        engine, self._engine = self._engine, None
        if engine:
            await asyncio.to_thread(engine.gathering.close)

    def _load(self) -> Engine:
        with self._loading:
            engine = self._engine
            if engine is None:
                model = load_model(self.weights, self._device)
                engine = Engine(self.name, model, self.renderer, self._context, self._batch)
                self._engine = engine
            return engine


def facts_of(folder: str) -> dict[str, JSON]:
    """What a model that callsmith trained was trained on: dialect, shots, task; else nothing."""
    marker = Path(folder) / MARKER
    if not marker.is_file():
        return {}
    facts: dict[str, JSON] = json.loads(marker.read_text(encoding="utf-8"))["facts"]
    return facts


class Engine:
    """A loaded model at work: requests in, completions out, a batch at a time."""

    def __init__(self, name: str, model: Any, renderer: Renderer, context: int, batch: int) -> None:
        import torch

        from callsmith_transformers.batches import is_fast
        from callsmith_transformers.memory import Memory, room_for_pasts

        self.name = name
        self.model = model
        self.renderer = renderer
        self.context = context
        self.memory = Memory(room_for_pasts(model.device))
        eos = getattr(model.generation_config, "eos_token_id", None)
        self.ends = renderer.ends | set(eos if isinstance(eos, list) else [eos]) - {None}
        with torch.inference_mode():
            self.fast = is_fast(model)
        small = model.device.type == "cpu" and model.num_parameters() < SMALL
        self.gathering: Gathering[Request, Completion] = Gathering(
            self.complete,
            size=batch,
            # The shorter ones of a batch are computed as if they were as long as the longest.
            weight=lambda request: sum(len(message["content"]) for message in request.messages),
            threads=torch.get_num_threads() if small else 1,
            # Of this thread alone.
            prepare=lambda: torch.set_num_threads(1) if small else None,
        )

    def complete(self, requests: Sequence[Request]) -> list[Completion | Exception]:
        """A completion for each request, or what to raise for it."""
        outcomes: list[Completion | Exception] = [Completion()] * len(requests)
        rows: dict[int, Row] = {}
        for index, request in enumerate(requests):
            try:
                rows[index] = self._row(request)
            except CallsmithError as error:
                outcomes[index] = error
        written = self._generate(list(rows.values()))
        for (index, row), made in zip(rows.items(), written, strict=True):
            if isinstance(made, Exception):
                outcomes[index] = made
                continue
            if made.past:
                self.memory.keep(_key(requests[index]), made.past)
            outcomes[index] = self._completion(row, made)
        return outcomes

    def _row(self, request: Request) -> Row:
        from callsmith_transformers.generation import Row

        try:
            prompt = self.renderer.encode(request.messages, request.tools)
        except CallsmithError as error:
            raise Rejected(str(error)) from error
        sampling = request.sampling
        room = self.context - len(prompt) if self.context else sampling.max_tokens
        if room < 1:
            raise ContextOverflow(
                f"the conversation has {len(prompt):,} tokens, and {self.name} reads "
                f"{self.context:,}"
            )
        past, reused = self.memory.find(_key(request), prompt)
        return Row(
            prompt=prompt,
            max_tokens=min(sampling.max_tokens, room),
            seed=_turn_seed(request),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=sampling.stop,
            past=past,
            reused=reused,
        )

    def _generate(self, rows: list[Row]) -> list[Written | Exception]:
        import torch

        from callsmith_transformers.generation import generate

        if not rows:
            return []
        try:
            return [*generate(self.model, rows, self.ends, self.renderer.decode, self.fast)]
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                told = Rejected(
                    f"{self.name} ran out of memory on a conversation of "
                    f"{len(rows[0].prompt):,} tokens: take a smaller model or fewer max_tokens"
                )
                told.__cause__ = error
                return [told]
        except (RuntimeError, IndexError, ValueError) as error:
            raise Rejected(f"{self.name} failed: {' '.join(str(error).split())[:200]}") from error
        # Out of the handler, since the exception holds on to the memory that ran out.
        self.memory.clear()
        half = len(rows) // 2
        return self._generate(rows[:half]) + self._generate(rows[half:])

    def _completion(self, row: Row, made: Written) -> Completion:
        ids = made.ids[:-1] if made.ids and made.ids[-1] in self.ends else made.ids
        text = self.renderer.decode(ids)
        cuts = [text.find(stop) for stop in row.stop if stop in text]
        if cuts:
            text = text[: min(cuts)]
        usage = Usage(len(row.prompt), len(made.ids), cached=row.reused)
        return Completion(text, finish=made.finish, usage=usage, model=self.name)


def _key(request: Request) -> tuple[str, int, int]:
    """What tells one conversation from another."""
    return (request.problem.key, request.attempt, request.seed)


def _turn_seed(request: Request) -> int:
    """The chain's seed is the same in all its turns; each must draw numbers of its own."""
    text = f"{request.seed}/{len(request.steps)}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())
