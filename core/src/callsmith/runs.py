"""What the store says of a run, and how two configurations differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from callsmith.chain import JSON


@dataclass(frozen=True, slots=True)
class Run:
    """A named set of chains, and the configuration that makes them.

    ``identity`` can't change, ``config`` can; ``prompt`` is what models are shown before the
    problem. ``warnings`` says what else has changed since the last start.
    """

    id: int
    name: str
    created: str
    identity: Mapping[str, JSON]
    config: Mapping[str, JSON]
    prompt: Mapping[str, JSON]
    plugins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        return str(self.identity.get("task", ""))


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in one line. ``owed`` chains are missing of those last asked for."""

    name: str
    task: str
    split: str
    model: str
    created: str
    owed: int
    chains: int
    problems: int
    correct: int
    faults: int
    tokens: int
    seconds: float

    @property
    def state(self) -> Literal["complete", "owed"]:
        return "owed" if self.owed else "complete"


@dataclass(frozen=True, slots=True)
class Rescored:
    """What judging again changed. ``mended`` problems had another gold answer in the store."""

    chains: int
    to_correct: int
    to_wrong: int
    mended: int


@dataclass(frozen=True, slots=True)
class PairSet:
    """A saved set of pairs: ``facts`` says how it was made."""

    name: str
    created: str
    pairs: int
    facts: Mapping[str, JSON]


_ABSENT: Any = object()


def differences(
    old: Mapping[str, JSON], new: Mapping[str, JSON], prefix: str = ""
) -> dict[str, str]:
    """What changed between two JSON objects: ``{"sampling.top_p": "was 1.0, now 0.9"}``."""
    found: dict[str, str] = {}
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found |= differences(was, now, f"{prefix}{name}.")
        elif was != now:
            found[prefix + name] = f"was {_short(was)}, now {_short(now)}"
    return found


def nearest(name: str, names: Sequence[str]) -> str:
    """What to say of a name that isn't there: those that are like it, else the newest."""
    if not names:
        return "there are none yet"
    close = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names[-8:])}"


def _short(value: Any) -> str:
    text = "absent" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
