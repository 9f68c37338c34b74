"""How numbers and names are written on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from callsmith.chain import JSON, Call, Stop
from callsmith.functions import format_call, render_value

LONGEST = 600
"""Characters shown of what a model or a function said in one place."""


def points(value: float) -> str:
    """A difference with its sign: a true minus, and none at all for zero."""
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "−")


def number(value: float) -> str:
    """To three digits, or whole: as much as a reader of a small chart can use."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def p_value(p: float) -> str:
    """``p = 0.0156``, with spaces that no line breaks at."""
    text = "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}" if p < 0.1 else f"p = {p:.2f}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def day(moment: str) -> str:
    """``22 November 2026, 13:05 UTC`` for an ISO 8601 time."""
    return f"{datetime.fromisoformat(moment):%-d %B %Y, %H:%M UTC}" if moment else ""


def plain(kind: str) -> str:
    """A fault's kind or another name of ours in words."""
    return kind.replace("_", " ")


STOPS: Mapping[Stop, str] = {
    "answer": "it answered",
    "steps": "it ran out of turns",
    "repeated": "it repeated one call",
    "calls": "it ran out of calls",
    "tokens": "it ran out of tokens",
    "seconds": "it ran out of time",
    "context": "its context was full",
    "gave_up": "it gave up",
}


def stop(why: Stop) -> str:
    return STOPS[why]


def clip(text: str) -> str:
    """What is too long to be read anyway is cut, and says so."""
    cut = len(text) - LONGEST
    return text if cut <= 0 else f"{text[:LONGEST]}… ({cut:,} more characters)"


def call(made: Call) -> str:
    return clip(format_call(made))


def value(result: JSON) -> str:
    return clip(render_value(result))


def pretty(document: JSON) -> str:
    return json.dumps(document, default=str, ensure_ascii=False, indent=2)


def settings(given: Mapping[str, JSON]) -> str:
    """``beta 1.0, epochs 2``: what is set, on one line."""

    def said(what: JSON) -> str:
        return "/".join(map(said, what)) if isinstance(what, list | tuple) else render_value(what)

    return ", ".join(f"{name} {said(what)}" for name, what in given.items())
