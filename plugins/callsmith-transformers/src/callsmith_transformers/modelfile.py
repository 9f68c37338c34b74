"""A folder that Ollama can make a model of: ``ollama create NAME -f FOLDER/Modelfile``.

Ollama is given a GGUF file wherever one can be written here: of safetensors it imports few
architectures, fewer with newer versions, and it guesses how their tokenisers cut up text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callsmith.backends import Message
from callsmith.chain import JSON
from callsmith.errors import DataError
from callsmith_transformers.conversations import UNKNOWN
from callsmith_transformers.gotemplate import derive, literal

if TYPE_CHECKING:
    from callsmith_transformers.exporting import Student

IMPORTED = ("gemma", "gemma2", "gemma3_text", "mistral", "mixtral", "phi3")
"""What Ollama imports from safetensors, given the tokeniser as SentencePiece's tokenizer.model."""

IMPORTED_BPE = ("qwen2", "qwen3")
"""What it imports whose tokeniser it knows from tokenizer.json."""

OWN_TEMPLATE = (
    "Ollama takes a template of its own, if it knows the model's family; "
    "`ollama show NAME --template` shows it."
)
"""What a user must know of a model that `is_native`."""

MOST = 32_768
"""Tokens of context that the Modelfile asks for, at most: Ollama takes memory for all of them."""


def write_for_ollama(student: Student, folder: Path, conversation: Sequence[Message]) -> None:
    """Add what Ollama needs to the ``folder`` that holds the student as safetensors.

    ``conversation`` is one as it was trained on, with every sequence of roles there is, from which
    the template is derived, except for one that `is_native`. Raises DataError if Ollama could not
    be given what the student saw.
    """
    from callsmith_transformers.gguf import write_gguf

    try:
        source = f"{student.name}.gguf"
        write_gguf(student, folder / source)
        adds_begin = student.begins
    except DataError:
        if not _imports(student, folder):
            raise
        source = ""
        adds_begin = bool(student.tokenizer.init_kwargs.get("add_bos_token"))
    template = ""
    if not is_native(student.facts):
        begin = student.tokenizer.bos_token if student.begins and adds_begin else ""
        known = conversation[0] != UNKNOWN
        template = derive(student.renderer, conversation, begin, hide=known).source
    text = modelfile(student, source, template)
    (folder / "Modelfile").write_text(text, encoding="utf-8")


def is_native(facts: Mapping[str, JSON]) -> bool:
    """Whether a student calls functions in its chat template's own way: that can't be found out
    from outside, so that Ollama must know the template.
    """
    return facts.get("dialect") == "native"


def _imports(student: Student, folder: Path) -> bool:
    """Whether Ollama itself can import the folder, and read text as the student's tokeniser."""
    kind = student.model.config.model_type
    return kind in IMPORTED_BPE or (kind in IMPORTED and (folder / "tokenizer.model").exists())


def modelfile(student: Student, source: str, template: str) -> str:
    """The Modelfile for the GGUF file ``source``, or for the safetensors beside it; without a
    ``template`` Ollama takes its own.
    """
    lines = [f"# {student.name}, to call functions in callsmith's dialect {_dialect(student)}."]
    if not source:
        lines += [
            "# An Ollama that does not import safetensors of this architecture wants a GGUF file:",
            "# make it with llama.cpp's convert_hf_to_gguf.py, and name it here.",
        ]
    if not template:
        lines.append(f"# {OWN_TEMPLATE}")
    lines.append(f"FROM ./{source}" if source else "FROM .")
    lines += [f'TEMPLATE """{template}"""'] if template else []
    tokens = student.tokenizer.convert_ids_to_tokens(student.ends)
    lines += [f'PARAMETER stop "{token}"' for token in tokens if literal(token) == token]
    window = student.model.config.get_text_config().max_position_embeddings
    lines += [f"PARAMETER num_ctx {min(window, MOST)}"]
    # Ollama's own defaults make likely tokens less likely; callsmith samples from all as they are.
    lines += ["PARAMETER repeat_penalty 1", "PARAMETER top_k 0"]
    defaults = student.model.generation_config
    if defaults.do_sample:
        lines += [
            f"PARAMETER {name} {value}"
            for name in ("temperature", "top_p")
            if (value := getattr(defaults, name)) is not None
        ]
    return "\n".join(lines) + "\n"


def _dialect(student: Student) -> str:
    shots = student.facts.get("shots")
    worked = "" if shots is None else f", shown {shots} worked examples"
    return f"{student.facts.get('dialect', 'text')}{worked}"
