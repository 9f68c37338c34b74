"""Where a training happens: a folder beside the one that it becomes.

``NAME.partial`` holds checkpoints, metrics and what is being trained; the finished folder is made
in it and renamed into place in one step. So a folder with ``callsmith.json`` is whole, and a
training killed at any moment goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callsmith.chain import JSON
from callsmith.errors import DataError
from callsmith.training import TrainedModel

MARKER = "callsmith.json"
METRICS = "metrics.jsonl"


class WorkFolder:
    """The folder of one training. ``identity`` is everything that makes it that one."""

    def __init__(self, out: Path, identity: Mapping[str, JSON]) -> None:
        self.out = out
        self.identity = json.loads(json.dumps(identity))
        self.path = out.with_name(f"{out.name}.partial")

    def open(self, resume: bool) -> TrainedModel | None:
        """Make the folder ready, or give the model if it is finished already.

        Raises DataError if ``out`` holds anything else, or another training than this.
        """
        marker = self.out / MARKER
        if marker.exists():
            if not resume:
                raise DataError(
                    f"{self.out} holds a trained model: resume, or choose another folder"
                )
            finished = json.loads(marker.read_text())
            self._compare(finished["identity"], self.out)
            self._remove()
            return _trained(self.out, finished)
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise DataError(f"{self.out} exists and is no training's folder: choose another one")
        said = self.path / "identity.json"
        if resume and said.exists():
            self._compare(json.loads(said.read_text()), self.path)
            return None
        self._remove()
        self.path.mkdir(parents=True)
        _write(said, self.identity)
        return None

    @property
    def metrics(self) -> Path:
        return self.path / METRICS

    def checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole."""
        found = sorted(
            self.path.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2])
        )
        return next((path for path in reversed(found) if _whole(path)), None)

    def finish(
        self, save: Callable[[Path], None], trained: TrainedModel, facts: Mapping[str, JSON]
    ) -> None:
        """Fill the finished folder with ``save`` and put it in its place.

        ``facts`` goes into ``callsmith.json`` beside the identity and the outcome.
        """
        final = self.path / "finished"
        shutil.rmtree(final, ignore_errors=True)
        final.mkdir()
        save(final)
        shutil.copy(self.metrics, final / METRICS)
        outcome = {
            "steps": trained.steps,
            "seconds": trained.seconds,
            "metrics": dict(trained.metrics),
            "warnings": list(trained.warnings),
        }
        _write(final / MARKER, {"version": 1, "identity": self.identity, **outcome, **facts})
        final.replace(self.out)
        self._remove()

    def _compare(self, other: Mapping[str, Any], where: Path) -> None:
        differing = [
            f"{key} {other.get(key)!r} → {self.identity.get(key)!r}"
            for key in sorted({*other, *self.identity})
            if other.get(key) != self.identity.get(key)
        ]
        if differing:
            raise DataError(
                f"{where} holds another training ({'; '.join(differing)}): "
                "remove it, or take another name"
            )

    def _remove(self) -> None:
        if self.path.exists():
            if not (self.path / "identity.json").exists() and any(self.path.iterdir()):
                raise DataError(f"{self.path} is in the way and was not made by a training")
            shutil.rmtree(self.path)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """A disk that is full or read-only is the user's to mend: said in one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(f"can't write {out}: {error.strerror or error}") from error
    except Exception as error:
        # safetensors and torch have errors of their own for a disk that takes no more.
        if not any(sign in str(error) for sign in ("(os error", "PytorchStreamWriter")):
            raise
        raise DataError(f"can't write {out}: {' '.join(str(error).split())[:200]}") from error


def _whole(checkpoint: Path) -> bool:
    # The trainer's state is the last file that is written.
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True


def _write(path: Path, value: JSON) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _trained(path: Path, marker: Mapping[str, Any]) -> TrainedModel:
    return TrainedModel(
        path, marker["steps"], marker["seconds"], marker["metrics"], tuple(marker["warnings"])
    )
