"""What is wrong with a formula or a step, in words for the model that wrote it."""

from __future__ import annotations


class LogicError(ValueError):
    """What this package refuses, and nothing else of it is raised for any text or formula.

    The message is one sentence for a model.
    """


class FormulaError(LogicError):
    """A text is no formula. ``position`` is the index in it of what is wrong.

    The message says the place in words; tracebacks show the text with a caret under it too.
    """

    def __init__(self, what: str, text: str = "", position: int | None = None) -> None:
        self.text = text
        self.position = position
        self.caret = "" if position is None else _caret(text, position)
        place = "" if position is None else _place(text, position)
        super().__init__(what + place)
        if self.caret:
            self.add_note(self.caret)


class SentenceError(LogicError):
    """A sentence is neither a fact nor a rule of the kind that `sentences` reads."""


class StepError(LogicError):
    """An inference step is not granted: the conclusion does not follow by this rule."""


class SolverTimeout(LogicError):
    """The solver could not decide within its limits: that is neither True, False nor Unknown."""


class ContradictoryPremises(LogicError):
    """The premises can't all be true, so that everything would follow from them."""


AROUND = 30
"""Characters that are shown on either side of what is wrong."""


def _caret(text: str, position: int) -> str:
    """The text in one line, cut to what is near, and a caret under the position."""
    flat = "".join(" " if character.isspace() else character for character in text)
    start, end = max(0, position - 2 * AROUND), position + 2 * AROUND
    before = ("…" if start else "") + flat[start:position]
    after = flat[position:end] + ("…" if end < len(flat) else "")
    return f"{before}{after}\n{' ' * len(before)}^"


def _place(text: str, position: int) -> str:
    """Where it is, in words: a model reads no columns."""
    before = " ".join(text[max(0, position - AROUND) : position].split())
    if position > AROUND:
        before = f"…{before}"
    where = f", at character {position + 1}"
    return f"{where}, after {before!r}" if before else where
