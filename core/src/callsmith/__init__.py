"""callsmith teaches small language models to solve reasoning problems by calling functions.

What is exported here is the public API; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith.backends import Previous
    from callsmith.chain import Call, Chain, PreferencePair, Problem, Result, Step, Verdict
    from callsmith.configs import RolloutConfig, TrainConfig
    from callsmith.errors import CallsmithError
    from callsmith.evaluation import compare
    from callsmith.functions import (
        AddressedPack,
        Context,
        Example,
        Function,
        FunctionPack,
        function,
    )
    from callsmith.jsonl import JsonlTask
    from callsmith.pairs import PairConfig
    from callsmith.tasks import BaseTask, Task
    from callsmith.workspace import Workspace, solve

__version__ = "0.1.0"

_MODULES = {
    "backends": ("Previous",),
    "chain": ("Call", "Chain", "PreferencePair", "Problem", "Result", "Step", "Verdict"),
    "errors": ("CallsmithError",),
    "evaluation": ("compare",),
    "functions": (
        "AddressedPack",
        "Context",
        "Example",
        "Function",
        "FunctionPack",
        "function",
    ),
    "pairs": ("PairConfig",),
    "jsonl": ("JsonlTask",),
    "tasks": ("BaseTask", "Task"),
    "configs": ("RolloutConfig", "TrainConfig"),
    "workspace": ("Workspace", "solve"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AddressedPack",
    "BaseTask",
    "Call",
    "CallsmithError",
    "Chain",
    "Context",
    "Example",
    "Function",
    "FunctionPack",
    "JsonlTask",
    "PairConfig",
    "PreferencePair",
    "Previous",
    "Problem",
    "Result",
    "RolloutConfig",
    "Step",
    "Task",
    "TrainConfig",
    "Verdict",
    "Workspace",
    "compare",
    "function",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'callsmith' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"callsmith.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
