"""What callsmith-dpo provides: the trainers ``dpo`` and ``sft``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_trainers() -> dict[str, str]:
    return {"dpo": "callsmith_dpo.trainers:DPO", "sft": "callsmith_dpo.trainers:SFT"}
