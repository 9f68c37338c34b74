"""Waiting for a server: what is done when it is away, or wants fewer requests."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from callsmith.backends import Backend, Capabilities, Completion, Request
from callsmith.chain import Chain, Verdict
from callsmith.errors import BackendError, Unavailable


@dataclass(slots=True)
class Tally:
    """What a rollout has done so far. ``owed`` counts this start's chains, not the whole run's.

    ``waiting`` of those in flight wait for a server; ``trouble`` is what was last wrong with it.
    """

    owed: int = 0
    done: int = 0
    correct: int = 0
    tokens: int = 0
    in_flight: int = 0
    retries: int = 0
    waiting: int = 0
    trouble: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def add(self, chain: Chain, verdict: Verdict) -> None:
        self.done += 1
        self.correct += verdict.correct
        self.tokens += chain.usage.completion
        self.faults.update(fault.kind for fault in chain.faults)


@dataclass
class PatientBackend:
    """Waits for a server that is away or busy, and asks again; everything else passes through.

    The waits double from half a second to a minute, with jitter, unless the server says how long.
    """

    inner: Backend
    max_retries: int
    timeout: float | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def prepare(self) -> None:
        await self.inner.prepare()

    async def complete(self, request: Request) -> Completion:
        waited = 0.0
        for tried in range(self.max_retries + 1):
            began = time.perf_counter()
            try:
                completion = await self._ask(request)
                return replace(completion, waited=waited) if waited else completion
            except Unavailable as error:
                if tried == self.max_retries:
                    raise
                self.tally.retries += 1
                self.tally.trouble = str(error)
                wait = min(60.0, 0.5 * 2**tried) * random.uniform(0.5, 1.0)
                self.tally.waiting += 1
                try:
                    await asyncio.sleep(wait if error.retry_after is None else error.retry_after)
                finally:
                    self.tally.waiting -= 1
                waited += time.perf_counter() - began
            except BackendError as error:
                error.waited = waited
                raise
        raise AssertionError("the last try returns or raises")

    async def _ask(self, request: Request) -> Completion:
        timeout = self.inner.capabilities.timeout if self.timeout is None else self.timeout
        try:
            async with asyncio.timeout(timeout):
                return await self.inner.complete(request)
        except TimeoutError as error:
            raise Unavailable(
                f"{self.name} gave no answer within {timeout:g} s: if it needs longer, say so with "
                "--timeout"
            ) from error

    async def close(self) -> None:
        await self.inner.close()
