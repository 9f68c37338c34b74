"""Llama-architecture models as GGUF, the format that llama.cpp and Ollama run.

Only models that can be written exactly are: what llama.cpp computes is what transformers computed,
up to the precision of the weights. For all others llama.cpp's own converter is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType

from callsmith.errors import DataError
from callsmith_transformers.vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from callsmith_transformers.exporting import Student

TYPES = {
    "float32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "float16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bfloat16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
}
"""Precision of a model's weights, by torch's name, to GGUF's."""

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""Names of layers in transformers to those in GGUF; those of a block without its number."""


def write_gguf(student: Student, path: Path) -> None:
    """Write the model, its tokeniser and its chat template to the file ``path``.

    The weights keep their precision; vectors are written in full, as llama.cpp wants them. Raises
    DataError for a model that can't be written exactly.
    """
    settings = student.model.config
    check_architecture(settings, student.name)
    vocabulary = read_vocabulary(student.tokenizer, settings.vocab_size, student.name)
    kind, file_type = TYPES[str(student.model.dtype).removeprefix("torch.")]
    # Tensors wait on disk, not in memory: the model itself is there already.
    writer = GGUFWriter(path, "llama", use_temp_file=True)
    writer.add_name(student.name)
    writer.add_file_type(file_type)
    _write_settings(writer, settings)
    _write_tokenizer(writer, student, vocabulary)
    factors = _rope_factors(settings)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    for tensor, values in _tensors(student.model):
        precision = kind if values.ndim > 1 else GGMLQuantizationType.F32
        data = gguf.quantize(values, precision)
        writer.add_tensor(tensor, data, raw_dtype=precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_architecture(settings: Any, name: str) -> None:
    """Raise DataError unless the configuration is of a model that can be written exactly."""
    rope = settings.rope_parameters if settings.model_type == "llama" else {}
    if settings.model_type != "llama":
        problem = f"is of the architecture {settings.model_type}"
    elif settings.hidden_act != "silu":
        problem = f"has the activation {settings.hidden_act}"
    elif rope["rope_type"] not in ("default", "linear", "llama3"):
        problem = f"has position embeddings of the kind {rope['rope_type']}"
    else:
        return
    raise DataError(
        f"{name} {problem}, and only models like Llama are written as GGUF here: run "
        "convert_hf_to_gguf.py of llama.cpp on the folder that --to hf gives"
    )


def _write_settings(writer: GGUFWriter, settings: Any) -> None:
    writer.add_vocab_size(settings.vocab_size)
    writer.add_context_length(settings.max_position_embeddings)
    writer.add_embedding_length(settings.hidden_size)
    writer.add_block_count(settings.num_hidden_layers)
    writer.add_feed_forward_length(settings.intermediate_size)
    writer.add_head_count(settings.num_attention_heads)
    writer.add_head_count_kv(settings.num_key_value_heads)
    writer.add_key_length(settings.head_dim)
    writer.add_value_length(settings.head_dim)
    writer.add_layer_norm_rms_eps(settings.rms_norm_eps)
    writer.add_rope_dimension_count(settings.head_dim)
    writer.add_rope_freq_base(settings.rope_parameters["rope_theta"])
    if settings.rope_parameters["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(settings.rope_parameters["factor"])


def _write_tokenizer(writer: GGUFWriter, student: Student, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.cut)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    template = student.tokenizer.chat_template
    if isinstance(template, dict):
        template = [{"name": name, "template": source} for name, source in template.items()]
    writer.add_chat_template(template)
    # What ends a turn, in the order of weight: more than these llama.cpp knows by their names.
    add_end = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
    for add, end in zip(add_end, student.ends, strict=False):
        add(end)
    if student.tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(student.tokenizer.bos_token_id)
    writer.add_add_bos_token(student.begins)
    if student.tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(student.tokenizer.pad_token_id)


def _tensors(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    """GGUF's names, and the weights in full precision as llama.cpp wants them."""
    settings = model.config
    heads = {"attn_q": settings.num_attention_heads, "attn_k": settings.num_key_value_heads}
    for name, tensor in model.state_dict().items():
        if name.startswith("lm_head.") and settings.tie_word_embeddings:
            continue
        layer, _, role = name.rpartition(".")
        if layer.startswith("model.layers."):
            number, _, layer = layer.removeprefix("model.layers.").partition(".")
            block = f"blk.{number}."
        else:
            block = ""
        values = tensor.detach().cpu().float().numpy()
        if NAMES[layer] in heads:
            values = _interleave(values, heads[NAMES[layer]])
        yield f"{block}{NAMES[layer]}.{role}", np.ascontiguousarray(values)


def _interleave(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama.cpp turns them: neighbours, where transformers turns a head's two halves."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _rope_factors(settings: Any) -> np.ndarray | None:
    """What Llama 3.1 divides the frequencies of its position embeddings by; None if it doesn't."""
    rope = settings.rope_parameters
    if rope["rope_type"] != "llama3":
        return None
    trained = rope["original_max_position_embeddings"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for i in range(0, settings.head_dim, 2):
        turns = trained / (2 * math.pi * rope["rope_theta"] ** (i / settings.head_dim))
        smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)
