"""The bridge to LangChain: its chat models as backends, its tools as functions, and back.

`as_tool` and `as_tools` give functions to LangChain code, `as_runnable` a whole agent; a tool is a
function wherever functions are named, and a toolkit is all of its tools. Nothing of LangChain runs
inside the loop: it stays at the edges. Each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith.langchain.models import LangChainBackend, open_backend
    from callsmith.langchain.runnables import as_runnable
    from callsmith.langchain.tools import as_tool, as_tools, from_tool

_HOMES = {
    "LangChainBackend": "models",
    "open_backend": "models",
    "as_runnable": "runnables",
    "as_tool": "tools",
    "as_tools": "tools",
    "from_tool": "tools",
}

__all__ = [
    "LangChainBackend",
    "as_runnable",
    "as_tool",
    "as_tools",
    "from_tool",
    "open_backend",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'callsmith.langchain' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"callsmith.langchain.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
