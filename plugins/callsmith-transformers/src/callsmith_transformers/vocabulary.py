"""A byte-level BPE tokeniser in llama.cpp's terms: tokens, merges, and how text is cut up first.

llama.cpp has a fixed list of ways to cut a text into the pieces that BPE merges within, known by
name. A tokeniser that cuts in a way that isn't in the list is refused: the model would read other
tokens than it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gguf import TokenType

from callsmith.chain import JSON
from callsmith.errors import DataError

DIGIT = r"\p{N}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")

CUTS = {
    ((GPT2,), False): "gpt-2",
    ((DIGIT, GPT2), False): "smollm",
    ((LLAMA3,), True): "llama-bpe",
    ((LLAMA3,), False): "smaug-bpe",
    ((QWEN2,), False): "qwen2",
}
"""Patterns in the order they are applied, and whether a piece that is itself a token is taken
whole: to llama.cpp's name for that. Each was tried against llama.cpp (tests/test_hf_gguf.py)."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What llama.cpp needs to know of a tokeniser. ``merges`` are pairs joined by a space."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    cut: str


def read_vocabulary(tokenizer: Any, size: int, name: str) -> Vocabulary:
    """The vocabulary of one of transformers' tokenisers, for a model with ``size`` embeddings.

    Raises DataError, which names the model ``name``, if llama.cpp would read text differently.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    described: dict[str, Any] = json.loads(backend.to_str()) if backend else {}
    model = described.get("model", {})
    added = {token["id"]: token for token in described.get("added_tokens", ())}
    known = {i: text for text, i in model.get("vocab", {}).items()} if backend else {}
    if problem := _unlike(described, model, added.values()):
        raise DataError(
            f"the tokenizer of {name} {problem}, which can't be written as GGUF here: try "
            "convert_hf_to_gguf.py of llama.cpp on the folder that --to hf gives"
        )
    if max([*known, *added]) >= size:
        raise DataError(f"the tokenizer of {name} has more tokens than the model has embeddings")
    tokens: list[str] = []
    types: list[int] = []
    for i in range(size):
        if i in added:
            tokens.append(added[i]["content"])
            types.append(TokenType.CONTROL if added[i]["special"] else TokenType.USER_DEFINED)
        else:
            # Embeddings may be more than tokens: rows to make their number a round one.
            tokens.append(known.get(i, f"[PAD{i}]"))
            types.append(TokenType.NORMAL if i in known else TokenType.UNUSED)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return Vocabulary(tokens, types, merges, _cut(described, model))


def _unlike(
    described: Mapping[str, Any], model: Mapping[str, Any], added: Collection[Mapping[str, JSON]]
) -> str:
    """What llama.cpp has no like of, as the end of "the tokenizer ..."; empty if nothing."""
    affixes = ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if (
        model.get("type") != "BPE"
        or any(model.get(affix) for affix in affixes)
        or (described.get("decoder") or {}).get("type") != "ByteLevel"
    ):
        return "is no byte-level BPE"
    if normalizer := described.get("normalizer"):
        return f"changes text before it reads it ({normalizer['type']})"
    if any(token[flag] for token in added for flag in ("single_word", "lstrip", "rstrip")):
        return "has tokens that swallow the blanks around them"
    if not _cut(described, model):
        return "cuts text into words in a way that llama.cpp has no name for"
    return ""


def _cut(described: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """llama.cpp's name for how text is cut up, empty if it has none."""
    patterns = _patterns(described.get("pre_tokenizer") or {})
    return CUTS.get((tuple(patterns), bool(model.get("ignore_merges"))), "") if patterns else ""


def _patterns(part: Mapping[str, Any]) -> list[str] | None:
    """The regular expressions that a pre-tokeniser splits by, one after the other."""
    match part:
        case {"type": "Sequence", "pretokenizers": parts}:
            inner = [_patterns(each) for each in parts]
            return None if None in inner else [p for each in inner for p in each or ()]
        case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated"}:
            return None if part.get("invert") else [regex]
        case {"type": "Digits", "individual_digits": True}:
            return [DIGIT]
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return [GPT2] if part.get("use_regex", True) else []
    return None
