"""Word problems made from a seed, as many as wanted: ``WordProblems(seed=0)``."""

from __future__ import annotations

from callsmith_math.wordproblems.task import WordProblems

__all__ = ["WordProblems"]
