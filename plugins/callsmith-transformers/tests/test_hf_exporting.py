"""A student written for other programs, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callsmith.errors import DataError
from callsmith_transformers.exporting import (
    load_student,
    new_folder,
    portable_template,
    write_folder,
)
from callsmith_transformers.rendering import Renderer

Make = Callable[..., Any]
SaveModel = Callable[..., Path]

TALK = [
    {"role": "system", "content": "Do it."},
    {"role": "user", "content": "48 eggs"},
    {"role": "assistant", "content": "divide(a=48, b=2)"},
    {"role": "user", "content": "24"},
]


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.arange(100, 140)[None]).logits


def test_a_program_that_only_applies_the_template_shows_what_was_trained_on(
    make_tokenizer: Make, template: str
) -> None:
    tokenizer = make_tokenizer(None if template == "plain" else template)
    trained = Renderer(tokenizer).text(TALK)
    tokenizer.chat_template = portable_template(Renderer(tokenizer))
    shown = tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True)
    assert shown == trained


def test_a_template_for_tools_stays_one(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("chatml")
    both = {"default": tokenizer.chat_template, "tool_use": make_tokenizer("tools").chat_template}
    tokenizer.chat_template = both
    assert portable_template(Renderer(tokenizer)) == both


def test_a_missing_token_is_no_text(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("llama3", bos_token=None)
    source = portable_template(Renderer(tokenizer))
    assert isinstance(source, str)
    # llama.cpp gives templates some token where the tokeniser has none.
    shown = tokenizer.apply_chat_template(
        TALK, chat_template=source, tokenize=False, bos_token="nonsense"
    )
    assert shown.startswith("<|start_header_id|>")


def test_an_adapter_is_merged_and_rounded_once(save_model: SaveModel, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = save_model(dtype="float16")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    facts = {"dialect": "text", "shots": 0, "task": "sums"}
    (tmp_path / "adapter" / "callsmith.json").write_text(json.dumps({"facts": facts, "steps": 3}))
    exact = adapted.merge_and_unload()
    write_folder(load_student(str(tmp_path / "adapter"), "better"), tmp_path / "half")
    write_folder(load_student(str(tmp_path / "adapter"), "better", "float32"), tmp_path / "full")
    half = AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto")
    full = AutoModelForCausalLM.from_pretrained(tmp_path / "full", dtype="auto")
    assert (half.dtype, full.dtype) == (torch.float16, torch.float32)
    assert torch.allclose(logits(full), logits(exact), atol=1e-5)
    rounded = exact.half().state_dict()
    assert all(torch.equal(rounded[name], weight) for name, weight in half.state_dict().items())
    read = load_student(str(tmp_path / "half"), "again")
    assert read.facts == facts
    assert read.renderer.encode(TALK) == load_student(str(base), "base").renderer.encode(TALK)


def test_weights_that_half_precision_can_not_hold_are_refused(
    save_model: SaveModel, tmp_path: Path
) -> None:
    student = load_student(str(save_model()), "better")
    student.model.model.norm.weight.data[0] = 1e5
    write_folder(student, tmp_path)
    with pytest.raises(DataError, match=r"too large for half precision: use --precision float32"):
        load_student(str(tmp_path), "better", "float16")


def test_quantised_weights_are_refused(save_model: SaveModel) -> None:
    folder = save_model()
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="stands on quantised weights"):
        load_student(str(folder), "better")


def test_what_converters_ask_for_goes_along(save_model: SaveModel, tmp_path: Path) -> None:
    folder = save_model()
    (folder / "tokenizer.model").write_bytes(b"pieces")
    write_folder(load_student(str(folder), "better"), tmp_path)
    assert (tmp_path / "tokenizer.model").read_bytes() == b"pieces"


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "exports" / "better"

    def be_interrupted() -> None:
        with new_folder(out) as folder:
            (folder / "half").write_text("a half-written model")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert list(out.parent.iterdir()) == []
    with new_folder(out) as folder:
        (folder / "whole").write_text("a model")
    with pytest.raises(DataError, match="is there already: remove it"), new_folder(out):
        pass
    assert [file.name for file in out.iterdir()] == ["whole"]
