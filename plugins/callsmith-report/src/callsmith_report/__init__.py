"""callsmith-report: what a recipe came to, on one HTML page.

>>> from callsmith import Workspace
>>> from callsmith_report import render
>>> html = render(Workspace(), "tiny")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith_report.page import render

__all__ = ["render"]


def __getattr__(name: str) -> Any:
    """What is exported is imported on access: plugins are looked through at every start."""
    if name == "render":
        from callsmith_report.page import render

        return render
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
