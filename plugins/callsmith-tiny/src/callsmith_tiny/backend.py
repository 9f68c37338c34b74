"""``tiny:teacher`` and the others: the packaged folders, opened as any local model is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from callsmith.errors import Rejected

if TYPE_CHECKING:
    from callsmith.tasks import Task
    from callsmith_transformers.backend import HFBackend

MODELS = Path(__file__).parent / "models"
NAMES = ("teacher", "student", "logic-teacher", "logic-student")


def open_backend(
    name: str, *, task: Task | None = None, device: str = "auto", batch: int = 64
) -> HFBackend:
    """The backend of one of the models; ``device`` and ``batch`` are those of ``hf:``.

    Raises Rejected for another name.
    """
    from callsmith_transformers.backend import open_backend as open_folder

    if name not in NAMES:
        *names, last = (f"tiny:{known}" for known in NAMES)
        said = f"there is no model 'tiny:{name}'" if name else "'tiny' is no server"
        raise Rejected(f"{said}: there are {', '.join(names)} and {last}")
    backend = open_folder(str(MODELS / name), task=task, device=device, batch=batch)
    backend.name = f"tiny:{name}"
    return backend
