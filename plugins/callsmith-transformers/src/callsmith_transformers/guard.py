"""Text that a chat template is given can't forge a turn.

A special token's string in a problem or a result ("<|im_end|>") would become that token, and end
a turn that its writer does not own. Each is cut in two by a mark before the template is applied;
the rendered text is then tokenised piece by piece, split at the marks. Text without such a string
is not touched, so it reads exactly as any server would tokenise it.

Whole control tokens are guarded, also where two contents or a content and the template's own text
could make one together. Imitations in plain words ("\\nUser:") are not: no tokeniser can tell them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

MARK = "\ufdd0"
"""Where to split. A Unicode noncharacter, reserved for such use and never part of a text."""


class Guard:
    """Marks every occurrence of ``controls`` in texts.

    ``normalise`` is the tokeniser's own normaliser, for control tokens that it looks for in the
    normalised text: written in full-width letters, say.
    """

    def __init__(
        self, controls: Collection[str], normalise: Callable[[str], str] | None = None
    ) -> None:
        long = sorted((c for c in controls if len(c) > 1), key=len, reverse=True)
        # A lookahead, for occurrences that overlap; the mark goes after the first character.
        alternatives = "|".join(map(re.escape, long))
        self._found = re.compile(f"(?=(?:{alternatives}))(.)" if long else r"(?!)", re.DOTALL)
        # One character can't be cut in two.
        self._replaced = str.maketrans({c: "\ufffd" for c in (*controls, MARK) if len(c) == 1})
        self._heads = {c[:n] for c in long for n in range(1, len(c))}
        self._tails = {c[n:] for c in long for n in range(1, len(c))}
        self._longest = len(long[0]) if long else 0
        self._normalise = normalise
        # A conversation's texts come again with each of its turns.
        self.text = lru_cache(maxsize=8192)(self._text)

    def __call__(self, value: Any) -> Any:
        """A JSON value with all its texts guarded, keys included: a model may have made them up."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self(item) for key, item in value.items()}
        return value

    def _text(self, text: str) -> str:
        # Lone surrogates can come out of JSON; no tokeniser takes them.
        text = text.encode("utf-8", "replace").decode().translate(self._replaced)
        marked = self._edges(self._found.sub(rf"\1{MARK}", text))
        if self._normalise and any(
            self._found.search(self._normalise(piece)) for piece in marked.split(MARK)
        ):
            return MARK.join(text)
        return marked

    def _edges(self, text: str) -> str:
        """Keep what stands at a text's edges from completing a token with what stands outside."""
        # Templates trim; what is at the edge then is what counts.
        end, begin = len(text.rstrip()), len(text) - len(text.lstrip())
        sizes = range(1, min(end - begin, self._longest) + 1)
        if any(text[end - size : end] in self._heads for size in sizes):
            text = text[:end] + MARK + text[end:]
        if any(text[begin : begin + size] in self._tails for size in sizes):
            text = text[:begin] + MARK + text[begin:]
        return text
