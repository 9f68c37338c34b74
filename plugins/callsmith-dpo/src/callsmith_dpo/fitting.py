"""What both trainers do alike: count out the steps, train in a work folder, finish it."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsmith.chain import JSON
from callsmith.training import TrainedModel
from callsmith_dpo import card
from callsmith_dpo.data import Example
from callsmith_dpo.settings import Settings
from callsmith_dpo.workfolder import WorkFolder, writing

if TYPE_CHECKING:
    from callsmith_dpo.sampling import LikeLengths
    from callsmith_dpo.students import Student

PASSES = 3
"""Forward passes that training on a token costs: its own, and a backward pass for two more
(Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class Plan:
    """How long to train: ``steps`` optimizer steps, of which ``per_epoch`` see every example."""

    examples: Sequence[Example]
    per_step: int
    per_epoch: int
    steps: int

    @classmethod
    def of(
        cls, examples: Sequence[Example], settings: Settings, compute: float | None = None
    ) -> Plan:
        """The plan that the settings ask for, or one that spends so much compute."""
        batches = math.ceil(len(examples) / settings.batch_size)
        per_epoch = math.ceil(batches / settings.gradient_accumulation)
        epochs = 1.0 if settings.epochs is None else settings.epochs
        if compute is not None:
            epochs = compute / (PASSES * _tokens(examples))
        steps = settings.steps or max(1, round(epochs * per_epoch))
        return cls(examples, settings.batch_size * settings.gradient_accumulation, per_epoch, steps)

    def sampler(self, seed: int) -> LikeLengths:
        """The order to train in."""
        from callsmith_dpo.sampling import LikeLengths

        lengths = [max(example.lengths) for example in self.examples]
        return LikeLengths(lengths, self.per_step, seed)

    def tokens(self, steps: int) -> int:
        """Tokens that so many steps train on, without padding."""
        epochs, rest = divmod(steps, self.per_epoch)
        seen = epochs + min(1.0, rest * self.per_step / len(self.examples))
        return round(seen * _tokens(self.examples))


@dataclass(frozen=True)
class Training:
    """One training, whole. ``reference`` is the number of tokens that only the reference reads."""

    trainer: str
    student: str
    settings: Settings
    plan: Plan
    facts: Mapping[str, JSON]
    warnings: list[str] = field(default_factory=list)
    reference: int = 0

    @property
    def identity(self) -> dict[str, JSON]:
        """Everything that makes it this training and no other."""
        tokens = hashlib.sha256()
        for example in self.plan.examples:
            tokens.update(repr(example).encode())
        return {
            "trainer": self.trainer,
            # The caller's name for it, which stays where a folder is moved; and the caller knows
            # when other weights stand under the same name.
            "student": self.facts.get("student", self.student),
            "weights": self.facts.get("student_weights", ""),
            "examples": len(self.plan.examples),
            "tokens": tokens.hexdigest()[:16],
            **asdict(self.settings),
        }

    def metrics(self, steps: int) -> dict[str, float]:
        """What so many steps cost. A token read once, forwards, is one unit of compute."""
        tokens = self.plan.tokens(steps)
        return {"tokens": tokens, "compute": PASSES * tokens + self.reference}


def run(
    training: Training,
    build: Callable[[Student, dict[str, Any]], Any],
    out: Path,
    progress: Callable[[Mapping[str, float]], None],
    resume: bool,
) -> TrainedModel:
    """Train, and leave the student in ``out``.

    ``build`` makes TRL's trainer of the loaded student and the keyword arguments of its config.
    Raises DataError where the disk, the folder or the settings don't allow it.
    """
    work = WorkFolder(out, training.identity)
    with writing(out), quiet():
        finished = work.open(resume)
        if finished:
            return finished
        from callsmith_dpo.students import load_student
        from callsmith_dpo.watch import Watch

        student = load_student(training.student, training.settings)
        watch = Watch(work.metrics, progress, training.settings)
        engine = build(student, arguments(training.settings, training.plan.steps, work.path))
        engine.add_callback(watch)
        checkpoint = work.checkpoint()
        engine.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        steps = engine.state.global_step
        trained = TrainedModel(
            out,
            steps,
            round(watch.seconds, 3),
            {**watch.last, **training.metrics(steps)},
            (*training.warnings, *watch.warnings),
        )
        versions = card.versions()

        def save(folder: Path) -> None:
            student.save(engine.model, folder)
            text = card.render(training.identity, trained, training.facts, versions)
            (folder / "README.md").write_text(text)

        work.finish(save, trained, {"facts": dict(training.facts), "versions": versions})
    return trained


def arguments(settings: Settings, steps: int, folder: Path) -> dict[str, Any]:
    """TRL's keyword arguments. What it would decide by itself is said: precision, above all."""
    import torch

    from callsmith_dpo.students import use_bfloat16

    cuda = torch.cuda.is_available()
    saves = 0 < settings.checkpoint_every < steps
    return {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": math.ceil(settings.warmup * steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "bf16": use_bfloat16(settings),
        "fp16": False,
        "use_cpu": not cuda and not torch.backends.mps.is_available(),
        "seed": settings.seed,
        "max_length": None,
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": cuda,
        "logging_steps": max(1, steps // 40),
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if saves else "no",
        "save_steps": settings.checkpoint_every or 1,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "passive",
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars, logging and telling users of its own renamings."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _tokens(examples: Sequence[Example]) -> int:
    return sum(sum(example.lengths) for example in examples)
