"""The tokenizer of the tiny models: digits alone, pieces of calls whole, the rest byte-level BPE.

A digit is a token, so that a number is copied digit by digit; ``add(a=`` is a token, so that the
choice of a function is one decision. Byte level, so that any text goes in and comes out unchanged.
Text is cut into words as llama.cpp does under the name ``smollm``, so that it can run the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from callsmith.functions import Function

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
USER, ASSISTANT, TOOL = "<|user|>", "<|assistant|>", "<|tool|>"
FUNCTIONS, DIRECT = "<|functions|>", "<|direct|>"
SPECIAL = (PAD, END, USER, ASSISTANT, TOOL, FUNCTIONS, DIRECT)

VOCABULARY = 900
CONTEXT = 2_048

WORDS = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
"""What BPE learns its merges within: a word, one digit, a run of signs, or white space."""


def call_pieces(functions: Mapping[str, Function]) -> list[str]:
    """``add(a=`` and ``, b=`` for every function and each of its arguments."""
    pieces: dict[str, None] = {}
    for name, function in functions.items():
        for position, argument in enumerate(function.properties):
            pieces[f", {argument}=" if position else f"{name}({argument}="] = None
    return list(pieces)


def make_tokenizer(
    texts: Iterable[str],
    functions: Mapping[str, Function],
    *,
    whole: Sequence[str] = (),
    vocabulary: int = VOCABULARY,
    template: str = "chat_template.jinja",
) -> PreTrainedTokenizerFast:
    """A tokenizer trained on the texts, with a chat template of this package.

    ``whole`` are words and signs that are a token wherever they stand, beside the pieces of calls
    and counted beyond the ``vocabulary``.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pieces = call_pieces(functions)
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(pieces),
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # llama.cpp has no such WORDS. These pieces have the same tokens, but for several blanks in a
    # row, and no task that the models know has any.
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_tokens([*pieces, *whole])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, TOOL, FUNCTIONS, DIRECT],
        chat_template=files("callsmith_tiny").joinpath(template).read_text(),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
