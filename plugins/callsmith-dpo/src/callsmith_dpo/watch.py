"""Follows a training: metrics to JSONL, to the caller, and a stop when it goes wrong."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import TrainerCallback

from callsmith.errors import DataError
from callsmith_dpo.settings import DPOSettings, Settings

NAMES = {
    "epoch": "epoch",
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "token_accuracy",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "margin",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
}
"""TRL's metrics that are kept, and what they are called here."""

COLLAPSE = 2.0, 0.5
FALL = 0.2, 0.2
"""What the chosen chains must have lost to speak of a collapse, or of a clear fall at the end: so
many nats, and such a share of the log-probability they had. Long chains lose more without harm."""

BETWEEN_CHECKPOINTS = 600.0
"""Seconds after which there is a checkpoint however few steps were made: they may be long."""


class Watch(TrainerCallback):  # type: ignore[misc]
    """Writes a line of metrics for every log, calls ``progress``, warns and stops on collapse."""

    def __init__(
        self, path: Path, progress: Callable[[Mapping[str, float]], None], settings: Settings
    ) -> None:
        self.path = path
        self.progress = progress
        self.dpo = settings if isinstance(settings, DPOSettings) else None
        self.lines: list[dict[str, float]] = []
        self.collapse = 0
        self._saves = settings.checkpoint_every > 0
        self._saved = time.monotonic()
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget what was logged after the checkpoint that is gone on from."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        kept = [line for line in map(_read, lines) if line and line["step"] <= state.global_step]
        whole = self.path.with_suffix(".new")
        whole.write_text("".join(json.dumps(line) + "\n" for line in kept))
        whole.replace(self.path)
        if kept:
            self._started -= kept[-1]["seconds"]
            self.lines = kept

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True
        if self._saves and time.monotonic() - self._saved >= BETWEEN_CHECKPOINTS:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = time.monotonic()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **kwargs: Any
    ) -> None:
        if "loss" not in logs:  # the summary at the end
            return
        if not math.isfinite(logs["loss"]):
            raise DataError(
                f"the loss is {logs['loss']} at step {state.global_step}: lower learning_rate"
            )
        line: dict[str, float] = {"step": state.global_step, "steps": state.max_steps}
        line |= {ours: float(logs[theirs]) for theirs, ours in NAMES.items() if theirs in logs}
        if self.dpo:
            line["logp_chosen_change"] = logs["rewards/chosen"] / self.dpo.beta
        line["seconds"] = round(self.seconds, 3)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        self.progress(line)
        # One log may be a batch of bad luck.
        if self.dpo and not self.collapse and _fell(self.lines[-2:], COLLAPSE):
            self.collapse = state.global_step
            # Never unsaid: the last step may have said it already.
            control.should_training_stop |= self.dpo.stop_on_collapse

    @property
    def last(self) -> Mapping[str, float]:
        """The metrics logged last."""
        return self.lines[-1]

    @property
    def warnings(self) -> list[str]:
        """What there is to say about the log-probability of the chosen chains, now."""
        if not self.dpo:
            return []
        cure = "raise beta or sft_weight, or lower learning_rate"
        if self.collapse:
            return [f"the chosen chains became far less likely by step {self.collapse}: {cure}"]
        end = self.lines[-max(1, len(self.lines) // 4) :]
        if _fell(end, FALL):
            change = fmean(line["logp_chosen_change"] for line in end)
            return [
                f"the chosen chains ended less likely than they were before training, by "
                f"{-change:.2g} in log-probability: {cure}"
            ]
        return []


def _fell(lines: Sequence[Mapping[str, float]], limits: tuple[float, float]) -> bool:
    """Whether the chosen chains of at least two logs have lost more than the limits allow."""
    change = fmean(line["logp_chosen_change"] for line in lines)
    before = fmean(line["logp_chosen"] for line in lines) - change
    nats, share = limits
    return len(lines) > 1 and change < -max(nats, share * abs(before))


def _read(line: str) -> dict[str, float] | None:
    """A line of metrics, or None where a kill has torn it."""
    try:
        value: dict[str, float] = json.loads(line)
    except ValueError:
        return None
    return value
