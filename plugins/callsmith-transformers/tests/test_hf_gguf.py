"""What is written as GGUF, read by a real llama.cpp."""

from __future__ import annotations

import json
import string
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from llama_server import Server

from callsmith.errors import DataError
from callsmith_transformers.exporting import Student, load_student
from callsmith_transformers.gguf import write_gguf
from callsmith_transformers.vocabulary import CUTS

SaveModel = Callable[..., Path]


def post(server: Server, path: str, body: dict[str, Any]) -> Any:
    data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.root}{path}", data, kind)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def next_chances(student: Student, ids: list[int]) -> dict[int, float]:
    """Log-probabilities of the token after ``ids``, as transformers computes them."""
    import torch

    with torch.inference_mode():
        logits = student.model.float()(torch.tensor([ids])).logits[0, -1]
    return dict(enumerate(logits.log_softmax(-1).tolist()))


def llama_cpp_chances(server: Server, ids: list[int]) -> dict[int, float]:
    """The same of the 20 likeliest tokens, as llama.cpp does."""
    body: dict[str, Any] = {"prompt": ids, "n_predict": 1, "n_probs": 20}
    # What it says of chances is from before the bias, and only of a token that is whole text.
    body["logit_bias"] = [["a", 1000]]
    (made,) = post(server, "/completion", body)["completion_probabilities"]
    return {token["id"]: token["logprob"] for token in made["top_logprobs"]}


# ---- the weights --------------------------------------------------------------------------------

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"rope_parameters": LLAMA3_ROPE},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0}},
        {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True},
        {"tie_word_embeddings": True, "head_dim": 16},
        {"vocab_size": 500},  # rows beyond the tokens
    ],
    ids=["plain", "llama3", "linear", "biases", "tied", "spare"],
)
def test_any_llama_computes_the_same(
    save_model: SaveModel, tmp_path: Path, config: dict[str, Any]
) -> None:
    import torch

    student = load_student(str(save_model(**config)), "a-model")
    # Biases begin as zero, and norms as one: a mistake must show.
    for weight in student.model.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.manual_seed(1))
    write_gguf(student, tmp_path / "model.gguf")
    ids = torch.randint(20, 300, (200,), generator=torch.manual_seed(2)).tolist()
    with Server(tmp_path / "model.gguf", context=256) as server:
        for length in (1, 50, 200):
            got = llama_cpp_chances(server, ids[:length])
            expected = next_chances(student, ids[:length])
            assert got == pytest.approx({token: expected[token] for token in got}, abs=1e-3)
            assert max(got.values()) == pytest.approx(max(expected.values()), abs=1e-3)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_weights_can_be_written_in_half(
    save_model: SaveModel, tmp_path: Path, precision: str
) -> None:
    student = load_student(str(save_model()), "a-model", precision)
    write_gguf(student, tmp_path / "model.gguf")
    with Server(tmp_path / "model.gguf", context=256) as server:
        got = llama_cpp_chances(server, list(range(100, 150)))
    expected = next_chances(student, list(range(100, 150)))
    assert got == pytest.approx({token: expected[token] for token in got}, abs=0.05)


# ---- the tokens ---------------------------------------------------------------------------------

SIGNS = [*string.printable, *"äßéñ北京日本привет½²³٣\u00a0\u2003\u200b😀\u0301«»—…\u3000"]
WORDS = ["'s", "'LL", " don't", "12345", "  ", "\n\n", " \r\n", "zebra", " zebra", "add(a=", "</s>"]
texts = st.lists(st.sampled_from(SIGNS + WORDS), max_size=30).map("".join)


def tokenizer_that_cuts(patterns: tuple[str, ...], whole: bool) -> Any:
    """Trained on a few sentences, with one word that no merge leads to."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    text = "A farmer's 48 eggs, she'll sell 12345 for $3.50!\n\n  def f(x):\n\treturn x  ** 2\r\n"
    other = "Ünïcode 北京 привет 12½ ²³ don't WE'RE\n\n\naaa   bbb    \n\n ccc hello world"
    tokenizer.train_from_iterator([text, other] * 20, trainer)
    described = json.loads(tokenizer.to_str())
    described["model"]["vocab"]["zebra"] = tokenizer.get_vocab_size()
    tokenizer = Tokenizer.from_str(json.dumps(described))
    tokenizer.add_tokens(["add(a="])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module", params=CUTS, ids=CUTS.values())
def reader(
    request: pytest.FixtureRequest,
    save_model: SaveModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Any, Server]]:
    """A tokeniser, and llama.cpp with a model that has it."""
    tokenizer = tokenizer_that_cuts(*request.param)
    folder = save_model(vocab_size=len(tokenizer))
    for file in folder.glob("tok*"):
        file.unlink()
    tokenizer.save_pretrained(folder)
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(load_student(str(folder), "a-model"), path)
    with Server(path, context=256) as server:
        yield tokenizer, server


@settings(max_examples=150)
@example(text="zebra")
@given(text=texts)
def test_text_becomes_the_same_tokens(reader: tuple[Any, Server], text: str) -> None:
    tokenizer, server = reader
    body = {"content": text, "add_special": False, "parse_special": True}
    read = post(server, "/tokenize", body)["tokens"]
    assert read == tokenizer.encode(text, add_special_tokens=False)


# ---- the template -------------------------------------------------------------------------------


@pytest.mark.parametrize("begins", [True, False])
def test_a_conversation_begins_as_it_did_in_training(
    save_model: SaveModel, tmp_path: Path, begins: bool
) -> None:
    student = load_student(str(save_model("llama3" if begins else "chatml")), "a-model")
    write_gguf(student, tmp_path / "model.gguf")
    messages = [
        {"role": "system", "content": "Do it."},
        {"role": "user", "content": "48 eggs"},
        {"role": "assistant", "content": "divide(a=48, b=2)"},
        {"role": "user", "content": "24"},
    ]
    with Server(tmp_path / "model.gguf", context=256) as server:
        answer = post(server, "/v1/chat/completions", {"messages": messages, "max_tokens": 1})
    ids = student.renderer.encode(messages)
    assert answer["usage"]["prompt_tokens"] == len(ids)
    assert (ids[0] == student.tokenizer.bos_token_id) == begins


def test_the_template_gives_llama_cpp_what_was_trained_on(
    save_model: SaveModel, tmp_path: Path, template: str
) -> None:
    student = load_student(str(save_model(None if template == "plain" else template)), "a-model")
    write_gguf(student, tmp_path / "model.gguf")
    messages = [
        {"role": "system", "content": "Do it."},
        {"role": "user", "content": "48 eggs"},
        {"role": "assistant", "content": "divide(a=48, b=2)"},
        {"role": "user", "content": "24"},
    ]
    with Server(tmp_path / "model.gguf", context=256) as server:
        prompt = post(server, "/apply-template", {"messages": messages})["prompt"]
    begin = student.tokenizer.bos_token if student.begins else ""  # llama.cpp adds it itself
    assert begin + prompt == student.renderer.text(messages)


# ---- what can't be written exactly --------------------------------------------------------------


def test_other_architectures_are_sent_to_llama_cpps_converter(
    save_model: SaveModel, tmp_path: Path
) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = save_model()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = Qwen2Config(vocab_size=500, num_hidden_layers=1, num_key_value_heads=2, **small)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    with pytest.raises(DataError, match=r"architecture qwen2, .* run convert_hf_to_gguf.py"):
        write_gguf(load_student(str(folder), "a-model"), tmp_path / "model.gguf")


def test_positions_that_llama_cpp_computes_otherwise_are_refused(
    save_model: SaveModel, tmp_path: Path
) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 4.0}
    student = load_student(str(save_model(rope_parameters=rope)), "a-model")
    with pytest.raises(DataError, match="position embeddings of the kind dynamic"):
        write_gguf(student, tmp_path / "model.gguf")


def change_cut(described: dict[str, Any]) -> None:
    split = {"type": "Split", "pattern": {"Regex": r"\S+"}, "behavior": "Isolated", "invert": False}
    byte_level = {**described["pre_tokenizer"], "use_regex": False}
    described["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, byte_level]}


def change_case(described: dict[str, Any]) -> None:
    described["normalizer"] = {"type": "Lowercase"}


def swallow_blanks(described: dict[str, Any]) -> None:
    described["added_tokens"][-1]["rstrip"] = True


def use_no_bytes(described: dict[str, Any]) -> None:
    described["decoder"] = {"type": "Fuse"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_cut, "cuts text into words in a way that llama.cpp has no name for"),
        (change_case, r"changes text before it reads it \(Lowercase\)"),
        (swallow_blanks, "has tokens that swallow the blanks around them"),
        (use_no_bytes, "is no byte-level BPE"),
    ],
)
def test_a_tokenizer_that_llama_cpp_has_no_like_of_is_refused(
    save_model: SaveModel, tmp_path: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    folder = save_model()
    described = json.loads((folder / "tokenizer.json").read_text())
    change(described)
    (folder / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=f"the tokenizer of a-model {reason}"):
        write_gguf(load_student(str(folder), "a-model"), tmp_path / "model.gguf")
