"""The labels of logic problems, in the spellings that data sets and models use."""

from __future__ import annotations

from callsmith.verifiers import LabelVerifier

_TRUE = ("T", "Yes", "A", "A) True", "Option A", "Entailed", "Entailment")
_FALSE = ("F", "No", "B", "B) False", "Option B", "Contradicted", "Contradiction")
_UNKNOWN = ("U", "Uncertain", "Undetermined", "Neither", "Neutral")
_THIRD = ("C", "C) Unknown", "C) Uncertain", "Option C")

LABELS = LabelVerifier({"True": _TRUE, "False": _FALSE, "Unknown": (*_UNKNOWN, *_THIRD)})
"""True, False and Unknown."""

TRUE_OR_FALSE = LabelVerifier({"True": _TRUE, "False": _FALSE})
"""For problems that can always be decided."""
