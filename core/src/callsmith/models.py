"""Trained models of a workspace: one folder each, finished when its ``callsmith.json`` is there.

The file says what the model was trained on, with which configuration, and how it did. Trainers
write it last; nothing else in the folder is looked at here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsmith.errors import DataError

MARKER = "callsmith.json"


def trained_names(home: Path) -> list[str]:
    """The names of the finished models in the workspace ``home``."""
    return sorted(marker.parent.name for marker in home.glob(f"models/*/{MARKER}"))


@dataclass(frozen=True)
class ModelFolder:
    """Where the workspace ``home`` keeps the model called ``name``."""

    home: Path
    name: str

    @property
    def path(self) -> Path:
        return self.home / "models" / self.name

    @property
    def is_finished(self) -> bool:
        return bool(self.name) and "/" not in self.name and (self.path / MARKER).is_file()

    def marker(self) -> dict[str, Any]:
        """What ``callsmith.json`` says: ``steps``, ``seconds``, ``metrics``, and under ``facts``
        what it was trained on.

        Raises DataError if there is no finished model of this name.
        """
        if not self.is_finished:
            raise DataError(
                f"there is no trained model {self.name!r} in {self.home}: train it first"
            )
        read: dict[str, Any] = json.loads((self.path / MARKER).read_text(encoding="utf-8"))
        return read


def weights_hash(folder: str) -> str:
    """What tells one set of weights from another: sizes, and the ends of each file.

    Empty for a hub name: its own revision says it.
    """
    found = hashlib.sha256()
    files = sorted(Path(folder).glob("*.safetensors")) if Path(folder).is_dir() else []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as opened:
            found.update(f"{file.name} {size}".encode() + opened.read(1 << 20))
            opened.seek(max(0, size - (1 << 20)))
            found.update(opened.read())
    return found.hexdigest()[:16] if files else ""
