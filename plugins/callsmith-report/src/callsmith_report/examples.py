"""A few preference pairs and a few newly solved problems to look at, chosen without a hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import TypeVar

from callsmith.attempts import why_incorrect
from callsmith.chain import Chain, PreferencePair, Verdict
from callsmith.store import Store
from callsmith_report.results import Headline

T = TypeVar("T")

SHOWN = 3
"""Examples of each sort."""


@dataclass(frozen=True)
class Mended:
    """One problem, with the chain that failed before and the one that solves it now."""

    before: tuple[Chain, Verdict]
    after: tuple[Chain, Verdict]


def typical(
    items: Sequence[T], kind: Callable[[T], str], size: Callable[[T], int], count: int = SHOWN
) -> list[T]:
    """Those of about median size, of as many kinds as there are: the same ones every time."""
    if not items:
        return []
    middle = median_low(map(size, items))
    ordered = sorted(items, key=lambda item: abs(size(item) - middle))
    found: dict[str, list[T]] = {}
    for item in ordered:
        found.setdefault(kind(item), []).append(item)
    # The kinds in turn, the most frequent first.
    kinds = sorted(found.values(), key=len, reverse=True)
    rounds = [group[place] for place in range(count) for group in kinds if place < len(group)]
    return rounds[:count]


def example_pairs(store: Store, names: Sequence[str]) -> list[PreferencePair]:
    """Pairs of these sets that show what is rejected, and what is preferred to it."""
    pairs = [pair for name in names for pair in store.pairs(name)]

    def kind(pair: PreferencePair) -> str:
        faults = [fault.kind for step in pair.rejected for fault in step.faults]
        return faults[0] if faults else "wrong"

    return typical(pairs, kind, lambda pair: len(pair.chosen) + len(pair.rejected))


def mended(store: Store, best: Headline) -> list[Mended]:
    """Problems that the best model solves and its baseline doesn't, at their first attempts."""
    before, after = store.run(best.before.part.name), store.run(best.after.part.name)
    # A hundred are enough to choose from.
    found = [
        Mended(store.chain(before, key), store.chain(after, key)) for key in best.newly_solved[:100]
    ]
    return typical(
        found,
        lambda one: why_incorrect(one.before[0]),
        lambda one: len(one.before[0].steps) + len(one.after[0].steps),
    )
