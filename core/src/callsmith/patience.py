"""Waiting for a server: what is done when it is away, or wants fewer requests."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from math import inf

from callsmith.backends import Backend, Capabilities, Completion, Request
from callsmith.chain import Chain, Verdict
from callsmith.errors import BackendError, RateLimited, Unavailable
from callsmith.waiting import Watch, wait_before_retry


@dataclass(slots=True)
class Tally:
    """What a rollout has done so far. ``owed`` counts this start's chains, not the whole run's.

    ``waiting`` of those in flight wait for a server; ``trouble`` is what was last wrong with it;
    ``allowed`` is how many requests it takes at once, 0 if it never said it were too many.
    ``settled`` problems were stopped early; ``stopping`` is true once the user has asked for it.
    ``notices`` are sentences that a person should see once.
    """

    owed: int = 0
    done: int = 0
    correct: int = 0
    tokens: int = 0
    in_flight: int = 0
    retries: int = 0
    waiting: int = 0
    trouble: str = ""
    allowed: int = 0
    settled: int = 0
    stopping: bool = False
    notices: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def add(self, chain: Chain, verdict: Verdict) -> None:
        self.done += 1
        self.correct += verdict.correct
        self.tokens += chain.usage.completion
        for fault in chain.faults:
            self.faults[fault.kind] += 1


class Gate:
    """How many requests may be on their way at once: what TCP does for packets.

    A server that wants fewer gets half of what it had; each round of answers lets one more
    through, up to as many as come.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._allowed = inf
        self._inside = 0
        self._cut = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> float:
        """Wait for one's turn; gives the seconds that it took. Every entry is left."""
        if self._inside + 1 > self._allowed:
            began = time.perf_counter()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()  # the turn was given, and nobody will use it
                raise
            return time.perf_counter() - began
        self._inside += 1
        return 0.0

    def leave(self) -> None:
        self._inside -= 1
        while self._waiting and self._inside + 1 <= self._allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)

    def fewer(self, began: float) -> None:
        """The server refused a request that was sent at ``began``."""
        # One cut for all that were on their way together: they all say the same.
        if began < self._cut:
            return
        self._cut = time.perf_counter()
        first = self._allowed == inf
        self._allowed = max(1.0, min(self._allowed, self._inside) / 2)
        self._tally.allowed = int(self._allowed)
        if first:
            self._tally.notices.append(
                f"the server wants fewer requests: it gets {self._tally.allowed} at a time, and "
                "more again as it takes them"
            )

    def more(self) -> None:
        """The server answered."""
        if self._inside + 1 > self._allowed:  # where there is room left, more would say nothing
            self._allowed += 1 / self._allowed
            self._tally.allowed = int(self._allowed)


@dataclass
class PatientBackend:
    """Waits for a server that is away or busy, and asks again; everything else passes through.

    A server that wants fewer requests gets fewer. How long the waits are, and what is told of them,
    is `waiting`'s.
    """

    inner: Backend
    max_retries: int
    timeout: float | None = None
    tally: Tally = field(default_factory=Tally)
    watch: Watch | None = None

    def __post_init__(self) -> None:
        self._gate = Gate(self.tally)
        self._watch = self.watch or Watch(self.tally.notices.append)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def prepare(self) -> None:
        await self.inner.prepare()

    async def complete(self, request: Request) -> Completion:
        waited, gate = 0.0, self._gate
        for tried in range(self.max_retries + 1):
            waited += await gate.enter()
            began = time.perf_counter()
            try:
                completion = await self._ask(request)
                gate.more()
                self._watch.answers()
                return replace(completion, waited=waited) if waited else completion
            except Unavailable as error:
                if isinstance(error, RateLimited):
                    gate.fewer(began)
                wait = wait_before_retry(error, tried, self.max_retries)
                failed = error
            except BackendError as error:
                error.waited = waited
                raise
            finally:
                gate.leave()
            if request.on_text:
                request.on_text("")
            await self._wait(failed, wait)
            waited += time.perf_counter() - began
        raise AssertionError("the last try returns or raises")

    async def _wait(self, failed: Unavailable, seconds: float) -> None:
        self._watch.waits(seconds, failed)
        self.tally.retries += 1
        self.tally.trouble = str(failed)
        self.tally.waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.tally.waiting -= 1

    async def _ask(self, request: Request) -> Completion:
        timeout = self.inner.capabilities.timeout if self.timeout is None else self.timeout
        if timeout is None:
            return await self.inner.complete(request)
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
