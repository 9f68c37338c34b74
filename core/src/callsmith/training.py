"""What a trainer is given and gives back. The trainers themselves are plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from callsmith.chain import JSON, Chain, PreferencePair

if TYPE_CHECKING:
    from callsmith.dialects import Prompt


@dataclass(frozen=True)
class TrainingData:
    """Pairs or chains (what the trainer needs), and the prompt that the student will be given.

    ``facts`` goes into the model card: task, runs, functions' hash, how the pairs were made.
    """

    prompt: Prompt
    pairs: Sequence[PreferencePair] = ()
    chains: Sequence[Chain] = ()
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedModel:
    """A folder with weights (adapter or full model), tokenizer and model card.

    ``steps`` are optimizer steps, ``seconds`` wall time, ``metrics`` the last ones logged.
    """

    path: Path
    steps: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Trainer(Protocol):
    """Fits a student on pairs or chains."""

    needs: Literal["pairs", "chains"]

    def check(self, config: Mapping[str, JSON]) -> None:
        """Raise DataError for a config that can't be, without loading anything."""
        ...

    def train(
        self,
        student: str,
        data: TrainingData,
        config: Mapping[str, JSON],
        out: Path,
        progress: Callable[[Mapping[str, float]], None],
        resume: bool = False,
    ) -> TrainedModel:
        """Train the weights in ``student`` (a folder or hub name) and write the result to ``out``.

        ``progress`` is called with ``step``, ``steps`` and the metrics of the moment. With
        ``resume`` the newest checkpoint in ``out`` is gone on from. Raises DataError for a config
        or data that can't be trained on.
        """
        ...
