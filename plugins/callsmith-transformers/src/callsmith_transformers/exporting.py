"""A student as other programs want it: one whole model, with all that shaped it in its folder.

An adapter is merged into its base. The chat template is written out so that any program that
applies it gives the model what it was trained on, where callsmith itself would have helped: a
plain template for a tokeniser without one, the system message before the first user's where the
template has no role for it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsmith.chain import JSON
from callsmith.errors import DataError, Rejected
from callsmith.models import MARKER
from callsmith_transformers.backend import facts_of
from callsmith_transformers.models import base_of, read_config, told
from callsmith_transformers.rendering import Renderer, load_tokenizer

if TYPE_CHECKING:
    from callsmith.workspace import Workspace

FOLD = """\
{%- if messages | length > 1 and messages[0]['role'] == 'system' -%}
{%- set messages = [{'role': messages[1]['role'], 'content': messages[0]['content'] + '\\n\\n' \
+ messages[1]['content']}] + messages[2:] -%}
{%- endif -%}
"""
"""The system message's text at the head of the first user's, as in `rendering`."""

NO_BOS = "{%- set bos_token = '' -%}\n"
"""transformers shows nothing for a token that there isn't; llama.cpp would show some token."""


@dataclass(frozen=True)
class Student:
    """A model in memory, ready to be written. ``facts`` say what it was trained on.

    ``sources`` are the folders it was read from: an adapter's and its base's.
    """

    name: str
    sources: tuple[str, ...]
    model: Any
    renderer: Renderer
    facts: Mapping[str, JSON]

    @property
    def tokenizer(self) -> Any:
        return self.renderer.tokenizer

    @property
    def ends(self) -> list[int]:
        """Ids of the tokens that end the model's turn, the tokeniser's own end-of-text first."""
        told_ends = self.model.generation_config.eos_token_id
        listed = told_ends if isinstance(told_ends, list) else [told_ends]
        ends = self.renderer.ends | set(listed) - {None}
        return sorted(ends, key=lambda end: (end != self.tokenizer.eos_token_id, end))

    @property
    def begins(self) -> bool:
        """Whether its conversations begin with the beginning-of-text token."""
        begin = self.tokenizer.bos_token_id
        ids = self.renderer.encode([{"role": "user", "content": "?"}])
        return begin is not None and ids[:1] == [begin]


def load_student(weights: str, name: str, precision: str = "") -> Student:
    """The model in a folder or of a hub name, whole, on the CPU.

    Its weights get the ``precision`` "float32", "float16" or "bfloat16"; by default that in which
    they are stored, of an adapter those of its base. Raises Rejected for what can't be read, and
    DataError for weights that are quantised, or don't fit the precision.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    base = base_of(weights)
    if getattr(read_config(weights), "quantization_config", None):
        raise DataError(f"{name} stands on quantised weights: export it from the whole ones")
    with told(weights):
        model = AutoModelForCausalLM.from_pretrained(base or weights, dtype="auto")
        stored = model.dtype
        if base:
            from peft import PeftModel

            # Merged in full precision, so that it is rounded once.
            model = PeftModel.from_pretrained(model.float(), weights).merge_and_unload()
    model = model.to(getattr(torch, precision) if precision else stored).eval()
    if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
        raise DataError(
            f"{name} has weights that are no numbers, or too large for half precision: use "
            "--precision float32"
        )
    tokenizer = load_tokenizer(weights)
    tokenizer.chat_template = portable_template(Renderer(tokenizer, name))
    sources = (weights, base) if base else (weights,)
    return Student(name, sources, model, Renderer(tokenizer, name), facts_of(weights))


def portable_template(renderer: Renderer) -> str | dict[str, str]:
    """The chat template for programs that only apply it; several by name, if it has several."""
    head = "" if renderer.tokenizer.bos_token else NO_BOS
    head += "" if renderer.system_role else FOLD
    own = renderer.tokenizer.chat_template
    if isinstance(own, dict):
        return {name: _with_head(source, head) for name, source in own.items()}
    return _with_head(renderer.template, head)


def _with_head(source: str, head: str) -> str:
    return head + source if head != NO_BOS or "bos_token" in source else source


def write_folder(student: Student, folder: Path) -> None:
    """Write a folder that transformers, and whatever reads its format, can load."""
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    for source in student.sources:
        # transformers reads it and writes it no more; converters to other formats ask for it.
        if (pieces := Path(source) / "tokenizer.model").is_file():
            shutil.copy(pieces, folder)
    # So that `hf:` on this folder shows it what it was trained to be shown.
    marker = json.dumps({"facts": dict(student.facts)}, ensure_ascii=False)
    (folder / MARKER).write_text(marker + "\n", encoding="utf-8")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``out`` at the end, whole or not at all.

    Raises DataError if there is something at ``out``.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is there already: remove it, or choose another folder with --out")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def export(
    workspace: Workspace, spec: str, name: str, form: str, out: Path, precision: str = ""
) -> Student:
    """Write the model ``spec`` to the folder ``out`` in the form "hf", "gguf" or "ollama".

    Other programs will call it ``name``. Raises Rejected for a model that isn't here, DataError
    for one that can't be written in that form exactly as it is.
    """
    from callsmith_transformers.conversations import trained_conversation
    from callsmith_transformers.gguf import check_architecture, write_gguf
    from callsmith_transformers.modelfile import write_for_ollama

    backend = workspace.backend(spec)
    weights = getattr(backend, "weights", None)
    if weights is None:
        raise Rejected(f"{spec} can't be exported: only models trained here and hf:PATH can")
    asyncio.run(backend.prepare())
    if form == "gguf":
        check_architecture(read_config(weights), name)
    with new_folder(out) as folder:
        student = load_student(weights, name, precision)
        if form == "gguf":
            write_gguf(student, folder / f"{name}.gguf")
        else:
            write_folder(student, folder)
        if form == "ollama":
            shown = trained_conversation(workspace, backend, student.facts)
            write_for_ollama(student, folder, shown)
    return student
