"""Students: weights and tokenizer in, an adapter or a full model out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsmith.errors import DataError
from callsmith_dpo.settings import Settings
from callsmith_transformers.models import base_of, read_config, told
from callsmith_transformers.rendering import Renderer, load_tokenizer

if TYPE_CHECKING:
    from peft import LoraConfig

UNBOUNDED = 1_000_000
"""A tokenizer that knows no limit says 1e30."""


@dataclass
class Student:
    """A model ready to be trained. ``stands`` says that it is a folder or hub model of its own.

    One that was merged from an adapter and its base is nowhere on disk, so no new adapter could
    stand on it: it is saved whole.
    """

    name: str
    model: Any
    tokenizer: Any
    peft_config: LoraConfig | None
    stands: bool

    @property
    def pad(self) -> int:
        """The token to pad with; which one it is makes no difference."""
        pad = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad is None else pad)

    def save(self, trained: Any, folder: Path) -> None:
        """Write what came out of training, with the tokenizer as the student had it."""
        if self.peft_config and self.stands:
            trained.save_pretrained(folder, save_embedding_layers=False)
        else:
            whole = trained.merge_and_unload() if self.peft_config else trained
            whole.save_pretrained(folder)
        load_tokenizer(self.name).save_pretrained(folder)


def load_renderer(student: str) -> Renderer:
    """The renderer of the student's rollouts. Raises Rejected if the student has no tokenizer."""
    return Renderer(load_tokenizer(student), student)


def window(student: str) -> int:
    """Tokens that the student can read at once."""
    config = read_config(student).get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or UNBOUNDED)


def load_student(student: str, settings: Settings) -> Student:
    """The weights in float32, or in bfloat16 where only an adapter on them is trained."""
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM, set_seed

    frozen = settings.lora > 0 and use_bfloat16(settings)
    base = base_of(student)
    with told(student):
        model = AutoModelForCausalLM.from_pretrained(
            base or student, dtype=torch.bfloat16 if frozen else torch.float32
        )
        if base:
            model = PeftModel.from_pretrained(model, student).merge_and_unload()
    set_seed(settings.seed)
    where = Path(student)
    # What an adapter says it stands on has to hold from any folder.
    model.config._name_or_path = str(where.resolve()) if where.exists() else student
    model.name_or_path = model.config._name_or_path
    adapter = LoraConfig(
        r=settings.lora,
        lora_alpha=settings.lora_alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    tokenizer = load_tokenizer(student)
    return Student(student, model, tokenizer, adapter if settings.lora else None, not base)


def use_bfloat16(settings: Settings) -> bool:
    """Whether to compute in bfloat16. Raises DataError where it was asked for and can't be."""
    import torch

    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if settings.precision == "bfloat16" and torch.cuda.is_available() and not able:
        raise DataError("precision = 'bfloat16' needs a newer GPU than this: use 'float32'")
    return able if settings.precision == "auto" else settings.precision == "bfloat16"
