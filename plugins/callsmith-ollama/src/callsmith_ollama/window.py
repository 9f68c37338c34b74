"""How large a window to ask Ollama for (``num_ctx``), and whether a conversation was cut to fit it.

Ollama's own default is a few thousand tokens, and what does not fit is cut without a word: the
oldest messages, or the middle of the prompt. A larger window costs memory, once for each request
that Ollama works on at a time, and another one than before makes it load the model again. So the
window is a power of two, the same for all conversations of a run, and grows when one needs it.
"""

from __future__ import annotations

from callsmith.backends import Request
from callsmith.chain import Usage
from callsmith.errors import ContextOverflow

SMALLEST = 8192

LARGEST = 131_072
"""For a model of which Ollama does not say what it can have."""

GUESSED_RATE = 0.5
"""Tokens in a byte of a conversation before any was counted: about twice that of English prose."""


class Window:
    """The window of one model.

    ``context`` is the most that it can have, 0 if unknown; ``start`` the least to ask for, if that
    is more than `SMALLEST`. One that is ``fixed`` never grows. ``cuts`` says that this Ollama does
    not know ``truncate`` and ``shift``, so that it can't be told not to cut.
    """

    def __init__(
        self, context: int = 0, *, start: int = 0, fixed: bool = False, cuts: bool = False
    ) -> None:
        self.limit = context
        self.num_ctx = context if fixed else self._within(max(SMALLEST, start))
        self._cuts = cuts
        self._rate = 0.0

    def fit(self, size: int, max_tokens: int) -> int:
        """The window for a conversation of ``size`` bytes and an answer of ``max_tokens``.

        Raises ContextOverflow where Ollama would cut it, and an estimate is all there is.
        """
        expected = int(size * (self._rate or GUESSED_RATE)) + 1
        if self._cuts and self.limit and expected > self.limit:
            raise ContextOverflow(
                f"the conversation may have {expected:,} tokens, the model reads {self.limit:,}, "
                "and this Ollama would cut it in silence: version 0.12.6 and later can tell"
            )
        while self.num_ctx < expected + max_tokens and self.grow(self.num_ctx):
            pass
        return self.num_ctx

    def grow(self, tried: int) -> bool:
        """Make the window larger than ``tried``, if it can be."""
        if self.num_ctx <= tried:
            self.num_ctx = self._within(1 << tried.bit_length())
        return self.num_ctx > tried

    def check(self, num_ctx: int, size: int, usage: Usage, request: Request) -> None:
        """Raise ContextOverflow if the server has cut the conversation, going by what it counted.

        A prompt that fills the window was cut to it; and a conversation only grows, so one that
        has fewer tokens than at its last turn has lost some, unless a failed turn was taken out.
        What is written past the end of the window was written with the beginning forgotten.
        """
        if not usage.prompt or usage.prompt > num_ctx:  # it does not count, or has another window
            return
        steps = request.steps
        shrinks = len(steps) > 1 and steps[-2].faults
        before = steps[-1].usage.prompt if steps and not shrinks else 0
        near = size * max(self._rate, GUESSED_RATE) > num_ctx
        if usage.prompt == num_ctx or (near and usage.prompt < before):
            raise self._overflow(f"more than {num_ctx:,}")
        if usage.total > num_ctx + 1:
            raise self._overflow(f"with its answer {usage.total:,}")
        # A little more than was seen, as the next conversation may be of denser text.
        self._rate = max(self._rate, 1.1 * usage.prompt / size)

    def _within(self, num_ctx: int) -> int:
        return min(num_ctx, self.limit or LARGEST)

    def _overflow(self, tokens: str) -> ContextOverflow:
        most = self.limit or LARGEST
        return ContextOverflow(
            f"the conversation has {tokens} tokens, and the model reads {most:,}"
        )
