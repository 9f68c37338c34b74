"""The kit for trainers finds what is wrong with one. This one learns nothing, but by the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import pytest

from callsmith.backends import ScriptedBackend
from callsmith.chain import JSON
from callsmith.errors import DataError
from callsmith.testing import Report, check_trainer
from callsmith.training import TrainedModel, Trainer, TrainingData


class Copier:
    """Copies the student's weights, in as many steps as it is told."""

    needs: Literal["pairs", "chains"] = "pairs"

    def check(self, config: Mapping[str, JSON]) -> None:
        for name in config:
            if name != "steps":
                raise DataError(f"there is no setting {name!r}: there is steps")

    def train(
        self,
        student: str,
        data: TrainingData,
        config: Mapping[str, JSON],
        out: Path,
        progress: Callable[[Mapping[str, float]], None],
        resume: bool = False,
    ) -> TrainedModel:
        self.check(config)
        steps = config["steps"]
        marker = out / "callsmith.json"
        if marker.exists():
            if resume:
                return TrainedModel(out, json.loads(marker.read_text())["steps"], 0.0)
            raise DataError(f"{out} holds a trained model: resume, or choose another folder")
        if not data.pairs:
            raise DataError("there are no pairs to train on")
        weights = Path(student) / "weights"
        if not weights.exists():
            raise DataError(f"there is no student in {student}")
        for step in range(1, steps + 1):
            progress({"step": step, "steps": steps, "loss": 1 / step})
        out.mkdir(exist_ok=True)
        (out / "weights").write_bytes(weights.read_bytes())
        (out / "README.md").write_text(f"Trained on {data.facts['task']}.")
        marker.write_text(json.dumps({"steps": steps, "facts": dict(data.facts)}))
        return TrainedModel(out, steps, 0.1, {"loss": 1 / steps})


def check(trainer: Trainer, tmp_path: Path) -> Report:
    (tmp_path / "weights").write_bytes(b"weights")
    return check_trainer(
        trainer,
        tmp_path,
        {"steps": 3},
        open_model=lambda folder: ScriptedBackend([f"answer(value={Path(folder).name!r})"]),
    )


def test_a_trainer_that_keeps_to_the_rules_passes(tmp_path: Path) -> None:
    report = check(Copier(), tmp_path)
    report.raise_if_failed()
    assert report.subject == "trainer Copier"
    assert not report.skipped
    assert "answer(value='first')" in str(report)


class Lax(Copier):
    def check(self, config: Mapping[str, JSON]) -> None: ...


class Silent(Copier):
    def train(self, student, data, config, out, progress, resume=False):  # type: ignore[no-untyped-def]
        print("training")
        return super().train(student, data, config, out, lambda metrics: None, resume)


class Careless(Copier):
    """Makes its folder first, writes over what is there, and takes any interruption for the end."""

    def train(self, student, data, config, out, progress, resume=False):  # type: ignore[no-untyped-def]
        out.mkdir(exist_ok=True)
        (out / "callsmith.json").unlink(missing_ok=True)
        try:
            return super().train(student, data, config, out, progress)
        except KeyboardInterrupt:
            (out / "callsmith.json").write_text("{}")
            raise


class Vandal(Copier):
    def train(self, student, data, config, out, progress, resume=False):  # type: ignore[no-untyped-def]
        trained = super().train(student, data, config, out, progress, resume)
        (Path(student) / "weights").write_bytes(b"other")
        return trained


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        (Lax, {"a setting that it does not have is refused in one sentence": "was not refused"}),
        (Silent, {"it tells of every step": "it told nothing", "it prints nothing": "'training'"}),
        (
            Careless,
            {
                "a finished model is not written over": "it was not refused",
                "a finished training is given as it is when it is resumed": "a second time",
                "an interrupted training looks unfinished, and is gone on with": "looks finished",
                "no data is refused in one sentence, and nothing is left": "it left third behind",
            },
        ),
        (
            Vandal,
            {"it trains a student, and leaves the original as it was": "own folder was changed"},
        ),
    ],
)
def test_what_is_wrong_is_found(
    trainer: type[Trainer], expected: dict[str, str], tmp_path: Path
) -> None:
    found = {check.name: check.why for check in check(trainer(), tmp_path).failed}
    for name, why in expected.items():
        assert why in found[name]
