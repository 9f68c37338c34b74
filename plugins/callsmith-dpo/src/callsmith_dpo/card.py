"""The model card: what a student was trained on, how, and how it went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from callsmith.chain import JSON
from callsmith.training import TrainedModel

TITLES = {
    "dpo": "trained on preference pairs with DPO",
    "sft": "fine-tuned on chains of function calls",
}


def versions() -> dict[str, str]:
    """The versions of everything that takes part in a training."""
    names = (
        "callsmith",
        "callsmith-dpo",
        "callsmith-transformers",
        "torch",
        "transformers",
        "trl",
        "peft",
    )
    return {name: metadata.version(name) for name in names}


def render(
    identity: Mapping[str, JSON],
    trained: TrainedModel,
    facts: Mapping[str, JSON],
    versions: Mapping[str, str],
) -> str:
    """The card as Markdown, with the front matter that model hubs read."""
    student, trainer = identity["student"], identity["trainer"]
    front = ["library_name: transformers", f"tags: [callsmith, {trainer}]"]
    if not Path(student).exists():
        front.insert(0, f"base_model: {student}")
    outcome = {"optimizer steps": trained.steps, "seconds": round(trained.seconds, 1)}
    parts = [
        "---\n" + "\n".join(front) + "\n---",
        f"# {Path(student).name}, {TITLES[trainer]}",
        "Made by [callsmith](https://pypi.org/project/callsmith/): the model solves problems by "
        "calling functions, and was trained on the chains of such calls. Results of calls took "
        "no part in the loss.",
        _table("What it was trained on", {"student": student, **facts}),
        _table("How it went", {**outcome, **trained.metrics}),
        "These are numbers of the training. How the model does on problems it has not seen is in "
        "the report of its run.",
        *(f"**Warning:** {warning}." for warning in trained.warnings),
        _table("Settings", {key: value for key, value in identity.items() if key != "student"}),
        _table("Versions", versions),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, rows: Mapping[str, JSON]) -> str:
    lines = [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join([f"## {title}", "", "| | |", "| --- | --- |", *lines])


def _cell(value: JSON) -> str:
    if isinstance(value, float):
        text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.replace("|", "\\|").split())
