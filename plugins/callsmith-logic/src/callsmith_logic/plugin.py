"""What this plugin provides. Nothing named here is imported before it is used."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_functions() -> dict[str, str]:
    return {"logic": "callsmith_logic.pack:pack"}


@hookimpl
def callsmith_tasks() -> dict[str, str]:
    return {
        "deduction": "callsmith_logic.deduction:Deduction",
        "folio": "callsmith_logic.folio:FOLIO",
        "prontoqa": "callsmith_logic.prontoqa:ProntoQA",
        "proofwriter": "callsmith_logic.proofwriter:ProofWriter",
    }
