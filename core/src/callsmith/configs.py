"""What a run and a training are asked to do: the fields behind commands, recipes and the API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from callsmith.agent import Limits
from callsmith.backends import split_url
from callsmith.chain import JSON, Sampling
from callsmith.errors import DataError
from callsmith.tasks import FunctionRef


@dataclass(frozen=True)
class PromptConfig:
    """What a model is shown before the problem.

    ``dialect`` auto takes the first that the model can do; ``shots`` is how many of the task's
    worked examples are shown (None: as many as the model was trained with, else all);
    ``functions`` replaces the task's own (empty: none but ``answer``).
    """

    task: str
    task_options: Mapping[str, JSON] = field(default_factory=dict)
    dialect: Literal["auto", "text", "native", "json"] = "auto"
    shots: int | None = None
    functions: tuple[FunctionRef, ...] | None = None
    forget_faults: bool = False


def check_name(name: str, what: str) -> None:
    """Raise DataError for a name that no file or folder should have."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise DataError(f"{what} can't be called {name!r}: letters, digits, '.', '_' and '-' only")


LEAST: Mapping[str, int] = {
    "shots": 0,
    "limit": 1,
    "attempts": 1,
    "until_both": 1,
    "temperature": 0,
    "top_p": 0,
    "max_tokens": 1,
    "steps": 1,
    "calls": 1,
    "tokens": 1,
    "seconds": 0,
    "concurrency": 1,
    "max_retries": 0,
    "timeout": 0,
}


@dataclass(frozen=True, kw_only=True)
class RolloutConfig(PromptConfig):
    """One run: which problems, which model, how sampled, how often.

    ``run`` names it (made from task, split and model if empty). ``attempts`` is how many chains
    each problem gets. ``limit`` takes so many problems, chosen by the seed; ``concurrency`` None
    takes what suits the backend. ``steps``, ``calls``, ``tokens`` and ``seconds`` are where a chain
    ends without an answer, as in `Limits`. ``stop`` and ``extra`` are sampling's too: stop strings,
    and settings passed to the server by name. With ``constrain`` the server lets the model write
    nothing but valid calls. ``timeout`` is the seconds after which a turn is asked for again, None
    for what suits the backend. ``executor`` names what makes the chains, with its
    ``executor_options``. With ``until_both`` a problem gets no more attempts once it has so many
    correct and so many incorrect chains. Raises DataError for a number below its `LEAST` and for
    an extra that is a setting of its own, and Rejected for a model's URL that can't be.
    """

    model: str
    split: str = "train"
    run: str = ""
    limit: int | None = None
    attempts: int = 1
    seed: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    extra: Mapping[str, JSON] = field(default_factory=dict)
    constrain: bool = False
    steps: int = 24
    calls: int = 64
    tokens: int = 16_384
    seconds: float = 600.0
    concurrency: int | None = None
    max_retries: int = 16
    timeout: float | None = None
    model_options: Mapping[str, JSON] = field(default_factory=dict)
    until_both: int | None = None
    executor: str = "local"
    executor_options: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise DataError(f"{name} must be at least {least}, not {value}")
        if self.run:
            check_name(self.run, "a run")
        split_url(self.model)
        for name in ("temperature", "top_p", "max_tokens", "stop", "seed"):
            if name in self.extra:
                raise DataError(f"{name} is no extra of sampling: it is a setting of its own")

    @property
    def sampling(self) -> Sampling:
        stop, extra = tuple(self.stop), dict(self.extra)
        return Sampling(self.temperature, self.top_p, self.max_tokens, stop, extra)

    @property
    def limits(self) -> Limits:
        return Limits(self.steps, self.calls, self.tokens, self.seconds)

    @property
    def name(self) -> str:
        """The run's name: the one given, or ``task-split-scheme-model`` without folders and URL."""
        scheme, _, rest = split_url(self.model)[0].partition(":")
        parts = [Path(self.task).stem, self.split, scheme, rest.rstrip("/").rpartition("/")[2]]
        parts += ["no-functions"] if self.functions == () else []
        parts += ["constrained"] if self.constrain else []
        made = "-".join(filter(None, parts))
        return self.run or "".join(c if c.isalnum() or c in "._" else "-" for c in made)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(PromptConfig):
    """One training: the student, the trainer, and what it learns from.

    ``pairs`` names a set of pairs; a trainer that needs chains takes the chosen ones. Or ``runs``
    names runs whose correct chains it takes. ``equal_steps_to`` and ``equal_compute_to`` name a
    trained model whose optimizer steps or compute this training takes on. ``config`` is the
    trainer's own.
    """

    name: str
    student: str
    trainer: str = "dpo"
    pairs: str = ""
    runs: tuple[str, ...] = ()
    equal_steps_to: str = ""
    equal_compute_to: str = ""
    config: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "a model")
