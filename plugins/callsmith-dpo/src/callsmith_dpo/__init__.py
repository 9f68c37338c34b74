"""callsmith-dpo: fits students on preference pairs (DPO) and on correct chains (SFT), with TRL.

>>> from callsmith_dpo import DPO
>>> model = DPO().train("./student", data, {"epochs": 2, "beta": 1.0}, Path("trained"), print)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callsmith_dpo.settings import DPOSettings, SFTSettings
    from callsmith_dpo.trainers import DPO, SFT

__all__ = ["DPO", "SFT", "DPOSettings", "SFTSettings"]


def __getattr__(name: str) -> Any:
    """What is exported is imported on access: plugins are looked through at every start."""
    from importlib import import_module

    if name in ("DPO", "SFT"):
        return getattr(import_module("callsmith_dpo.trainers"), name)
    if name in ("DPOSettings", "SFTSettings"):
        return getattr(import_module("callsmith_dpo.settings"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
