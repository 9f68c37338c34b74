"""What can be set about a training: documented, with defaults, checked before anything is loaded.

A setting that is misspelt, of the wrong type or out of range is refused in one sentence.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

from callsmith.chain import JSON
from callsmith.errors import DataError

Chosen = TypeVar("Chosen", bound="Settings")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What both trainers have in common. How long is said in one way: ``epochs`` or ``steps``."""

    epochs: float | None = None
    """Passes over the examples; 1 where nothing else is said."""
    steps: int | None = None
    """Optimizer steps, whatever the number of examples."""
    learning_rate: float = 5e-6
    batch_size: int = 8
    """Pairs, or chains, in one forward pass."""
    gradient_accumulation: int = 1
    """Forward passes in one optimizer step."""
    max_length: int = 0
    """The longest conversation in tokens; 0 is what the model can read. Nothing is ever cut."""
    too_long: Literal["refuse", "drop"] = "refuse"
    """What becomes of longer ones: refuse to train, or leave them out and say how many."""
    lora: int = 0
    """Rank of the LoRA adapter (Hu et al. 2021); 0 trains all weights."""
    lora_alpha: int = 32
    """The adapter is scaled by ``lora_alpha / lora``."""
    scheduler: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.1
    """The share of the steps in which the learning rate rises."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` is bfloat16 on GPUs that have it, float32 elsewhere."""
    gradient_checkpointing: bool = False
    """Saves memory, costs about a third more time."""
    checkpoint_every: int = 100
    """Optimizer steps between checkpoints, of which there is one every ten minutes anyway; 0 makes
    none."""
    seed: int = 0

    def check(self) -> None:
        """Raise DataError for a value that can't be."""
        said = [name for name in self.durations if getattr(self, name) is not None]
        if len(said) > 1:
            raise DataError(f"set {' or '.join(said)}, not both: each says how long to train")
        for name in (*said, "learning_rate", "batch_size", "gradient_accumulation"):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in ("max_length", "lora", "weight_decay", "checkpoint_every", "max_grad_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} can't be {getattr(self, name)}: it must be 0 or more")
        if not 0 <= self.warmup < 1:
            raise DataError(
                f"warmup is a share of the steps, 0 or more and below 1: not {self.warmup}"
            )
        if self.lora and self.lora_alpha <= 0:
            raise DataError(f"lora_alpha must be more than 0, not {self.lora_alpha}")

    @property
    def durations(self) -> tuple[str, ...]:
        return ("epochs", "steps")


@dataclass(frozen=True, kw_only=True)
class DPOSettings(Settings):
    """Direct Preference Optimization (Rafailov et al. 2023)."""

    beta: float = 0.1
    """How closely the student is held to what it was before."""
    sft_weight: float = 0.0
    """Weight of the chosen chains' own loss beside it (Pang et al. 2024, eq. 3)."""
    stop_on_collapse: bool = True
    """Stop when the chosen chains have become clearly less likely than before training."""

    def check(self) -> None:
        super().check()
        if not 0 < self.beta < math.inf:
            raise DataError(f"beta must be more than 0, not {self.beta}")
        if not 0 <= self.sft_weight < math.inf:
            raise DataError(f"sft_weight can't be {self.sft_weight}: it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class SFTSettings(Settings):
    """Supervised fine-tuning on the assistant's turns."""

    learning_rate: float = 2e-5
    compute: float | None = None
    """Train until this much compute is spent, as another training's ``metrics["compute"]`` counts
    it: the control at equal compute."""

    @property
    def durations(self) -> tuple[str, ...]:
        return ("epochs", "steps", "compute")


def read(kind: type[Chosen], config: Mapping[str, JSON]) -> Chosen:
    """The settings in a config. Raises DataError for an unknown key, a wrong type or value."""
    known = {field.name for field in fields(kind)}
    types = get_type_hints(kind)
    for key, value in config.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise DataError(f"there is no training setting {key!r}: {hint}")
        if not _fits(value, types[key]):
            raise DataError(f"{key} must be {_describe(types[key])}, not {value!r}")
    settings = kind(**config)
    settings.check()
    return settings


def _fits(value: JSON, annotation: object) -> bool:
    if isinstance(annotation, UnionType):
        return any(_fits(value, option) for option in get_args(annotation))
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is annotation


def _describe(annotation: object) -> str:
    words = {float: "a number", int: "a whole number", bool: "true or false"}
    if isinstance(annotation, UnionType):
        options = [option for option in get_args(annotation) if option is not NoneType]
        return " or ".join(map(_describe, options))
    if get_origin(annotation) is Literal:
        return " or ".join(map(repr, get_args(annotation)))
    return words[annotation]  # type: ignore[index]
