from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callsmith.backends import Message, Request
from callsmith.chain import Problem, Sampling, Step
from callsmith.errors import ContextOverflow, Rejected
from callsmith_transformers.backend import HFBackend, open_backend


@pytest.fixture(scope="module")
def folder(save_model: Callable[..., Path]) -> Path:
    return save_model()


@pytest.fixture
async def backend(folder: Path) -> AsyncIterator[HFBackend]:
    opened = open_backend(str(folder), device="cpu")
    yield opened
    await opened.close()


def ask(text: str = "48 eggs", seed: int = 1, **sampling: Any) -> Request:
    settings = Sampling(**{"temperature": 1.0, "max_tokens": 12, **sampling})
    messages: list[Message] = [
        {"role": "system", "content": "Do it."},
        {"role": "user", "content": text},
    ]
    return Request(messages, sampling=settings, seed=seed, problem=Problem(text))


async def test_together_or_alone_a_request_gets_the_same_answer(
    backend: HFBackend, folder: Path
) -> None:
    requests = [ask(f"{i} eggs" * (i % 5 + 1), seed=i) for i in range(30)]
    together = await asyncio.gather(*map(backend.complete, requests))
    small = open_backend(str(folder), device="cpu", batch=1)
    alone = [await small.complete(request) for request in requests]
    await small.close()
    assert [c.text for c in together] == [c.text for c in alone]
    assert len({c.text for c in together}) > 20


async def test_a_completion_says_what_it_took(backend: HFBackend) -> None:
    cut = await backend.complete(ask(max_tokens=2))
    assert (cut.finish, cut.usage.completion, cut.model) == ("length", 2, backend.name)
    assert cut.usage.prompt == len(backend.renderer.encode(ask().messages))
    seeds = [ask(seed=seed, max_tokens=200, temperature=1.5) for seed in range(20)]
    made = await asyncio.gather(*map(backend.complete, seeds))
    ended = [completion for completion in made if completion.finish == "stop"]
    assert ended, "a random model comes upon an end token now and then"
    assert all(not completion.text.endswith(("</s>", "<|im_end|>")) for completion in ended)


async def test_a_next_turn_goes_on_from_the_last_one(backend: HFBackend, folder: Path) -> None:
    first = ask()
    turn = await backend.complete(first)
    after = [
        *first.messages,
        {"role": "assistant", "content": turn.text},
        {"role": "user", "content": "24"},
    ]
    second = replace(first, messages=after, steps=(Step(turn.text),))
    warm = await backend.complete(second)
    cold = open_backend(str(folder), device="cpu")
    expected = await cold.complete(second)
    await cold.close()
    assert warm.usage.cached >= turn.usage.prompt
    assert expected.usage.cached == 0
    assert warm.text == expected.text


async def test_turns_of_one_chain_draw_different_numbers(backend: HFBackend) -> None:
    first = ask()
    later = replace(first, steps=(Step("x"),))
    assert (await backend.complete(first)).text != (await backend.complete(later)).text


async def test_a_stop_string_ends_the_turn_and_is_left_out(backend: HFBackend) -> None:
    whole = await backend.complete(ask(temperature=0.0, max_tokens=12))
    stop = whole.text[5:8]
    cut = await backend.complete(ask(temperature=0.0, max_tokens=12, stop=(stop,)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"


async def test_a_conversation_longer_than_the_window_overflows(backend: HFBackend) -> None:
    assert backend.capabilities.context == 256
    other = backend.complete(ask())
    long = backend.complete(ask("48 eggs " * 200))
    results = await asyncio.gather(long, other, return_exceptions=True)
    assert isinstance(results[0], ContextOverflow)
    assert not isinstance(results[1], BaseException), "the others of the batch go on"
    fits = await backend.complete(ask("egg " * 20, max_tokens=10_000, temperature=0))
    assert fits.usage.total <= 256


async def test_capabilities_are_read_from_the_template(save_model: Callable[..., Path]) -> None:
    tools = open_backend(str(save_model("tools"))).capabilities
    assert (tools.dialects, tools.tool_role) == (("native", "text", "json"), True)
    assert tools.reason == "its chat template shows functions"
    plain = open_backend(str(save_model("mistral"))).capabilities
    assert (plain.dialects, plain.tool_role) == (("text", "json"), False)
    assert (plain.reason, plain.timeout) == ("its chat template has no functions", None)


def test_a_trained_model_first_does_the_dialect_it_was_trained_in(
    save_model: Callable[..., Path],
) -> None:
    folder = save_model("tools")
    facts = {"dialect": "text", "shots": 2, "task": "sums"}
    (folder / "callsmith.json").write_text(json.dumps({"facts": facts}))
    able = open_backend(str(folder)).capabilities
    assert (able.dialects, able.shots) == (("text", "native", "json"), 2)
    assert able.reason == "it was trained in that dialect"


async def test_half_precision_weights_are_computed_in_full_on_a_cpu(
    save_model: Callable[..., Path],
) -> None:
    from callsmith_transformers.models import load_model

    model = load_model(str(save_model(dtype="float16")), "cpu")
    assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}


async def test_an_adapter_is_merged_into_its_base(folder: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(tmp_path)
    adapted.merge_and_unload().save_pretrained(tmp_path / "whole")
    merged = open_backend(str(tmp_path), device="cpu")
    request = ask(temperature=0.0)
    got = await merged.complete(request)  # with the base's tokenizer, since it has none
    await merged.close()
    whole = open_backend(str(tmp_path / "whole"), device="cpu")
    whole.renderer = merged.renderer
    expected = await whole.complete(request)
    await whole.close()
    plain = open_backend(str(folder), device="cpu")
    assert got.text == expected.text != (await plain.complete(request)).text
    await plain.close()


async def test_out_of_memory_halves_the_batch_then_says_so(
    backend: HFBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from callsmith_transformers import generation

    real = generation.generate
    sizes = []

    def small(model: Any, rows: Any, *rest: Any) -> Any:
        sizes.append(len(rows))
        if len(rows) > 2 or any(row.max_tokens == 7 for row in rows):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, rows, *rest)

    monkeypatch.setattr(generation, "generate", small)
    results = await asyncio.gather(
        *(backend.complete(ask(seed=i, max_tokens=7 if i == 3 else 5)) for i in range(8)),
        return_exceptions=True,
    )
    assert max(sizes) > 2
    assert [i for i, result in enumerate(results) if isinstance(result, Rejected)] == [3]
    assert "ran out of memory" in str(results[3])


@pytest.mark.parametrize("name", ["./nowhere", "/no/model/here", "~/nothing-of-the-kind", ""])
def test_a_folder_that_is_not_there_is_refused_at_once(name: str) -> None:
    with pytest.raises(Rejected, match="there is no folder"):
        open_backend(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="holds no model"):
        open_backend(str(tmp_path))


async def test_a_hub_name_that_can_not_be_had_is_refused() -> None:
    with pytest.raises(Rejected, match="there is no model nobody/nothing here"):
        await open_backend("nobody/nothing").complete(ask())


async def test_preparing_reads_the_tokenizer_and_no_weights(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"these are no weights")
    await open_backend(str(tmp_path / "model")).prepare()


async def test_a_folder_that_can_not_be_used_is_refused_before_the_first_problem(
    folder: Path, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(Rejected, match=r"holds no weights: it has no \*\.safetensors file"):
        await open_backend(str(tmp_path / "bare")).prepare()
    shutil.copytree(folder, tmp_path / "mute")
    (tmp_path / "mute" / "tokenizer.json").unlink()
    (tmp_path / "mute" / "tokenizer_config.json").unlink()
    with pytest.raises(Rejected, match="has no tokenizer: save the one"):
        await open_backend(str(tmp_path / "mute")).prepare()
    endless = save_model(None)
    settings = json.loads((endless / "tokenizer_config.json").read_text())
    (endless / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    with pytest.raises(Rejected, match="neither a chat template nor an end-of-text token"):
        await open_backend(str(endless)).prepare()


async def test_a_broken_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(Rejected, match="can't be read"):
        await open_backend(str(tmp_path), device="cpu").complete(ask())


def test_a_batch_of_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(Rejected, match="batch is a whole number of 1 or more, not 0"):
        open_backend(str(folder), batch=0)


async def test_sampling_that_it_does_not_have_is_refused(backend: HFBackend) -> None:
    with pytest.raises(Rejected, match="not by min_p"):
        await backend.complete(ask(extra={"min_p": 0.1}))


async def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(Rejected, match="can't be used here"):
        await open_backend(str(folder), device="cuda:7").complete(ask())


def test_opening_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys, json; import callsmith_transformers.plugin;"
        "from callsmith_transformers.backend import open_backend;"
        f"weights = open_backend({str(folder)!r}).weights;"
        "heavy = [m for m in ('torch', 'transformers', 'peft', 'numpy') if m in sys.modules];"
        "print(json.dumps([weights, heavy]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [str(folder), []]
