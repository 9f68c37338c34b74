from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from callsmith_transformers import batches
from callsmith_transformers.batches import FastBatch, PlainBatch, is_fast
from callsmith_transformers.generation import Picker, Row, generate
from callsmith_transformers.models import load_model

PROMPTS = [[5, 6], [9, 8, 7, 6, 5, 4, 3], [40, 41, 42], [7] * 30, [11, 12, 13, 14]]


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Any:
    return load_model(str(save_model()), "cpu")


@pytest.fixture(scope="module")
def others() -> dict[str, Any]:
    """Architectures with positions, caches and masks of other kinds."""
    from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config, MistralConfig

    sizes = {"vocab_size": 64, "hidden_size": 16, "initializer_range": 0.3}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    torch.manual_seed(0)
    configs = {
        "learned positions": GPT2Config(**sizes, n_layer=2, n_head=2),
        "biases for positions": BloomConfig(**sizes, n_layer=2, n_head=2),
        "sliding window": MistralConfig(**sizes, **layers, intermediate_size=8, sliding_window=4),
    }
    return {
        name: AutoModelForCausalLM.from_config(config).eval() for name, config in configs.items()
    }


def logprobs(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(-1)


@torch.inference_mode()
def alone(model: Any, prompt: list[int]) -> Tensor:
    """The log-probabilities after a prompt, without padding, cache or batch."""
    return logprobs(model(torch.tensor([prompt])).logits[0, -1])


@pytest.mark.parametrize("kind", [PlainBatch, FastBatch])
@torch.inference_mode()
def test_log_probabilities_are_those_of_a_batch_of_one(model: Any, kind: Any) -> None:
    prompts = sorted(PROMPTS, key=len)
    batch = kind(model, prompts)
    for step in range(40):  # past the room that buffers have to spare
        for row, prompt in enumerate(prompts):
            difference = (logprobs(batch.logits[row]) - alone(model, prompt)).abs().max()
            assert difference < 1e-5
        if step == 3:
            batch.keep(torch.tensor([0, 2, 3]))
            prompts = [prompts[row] for row in (0, 2, 3)]
        tokens = batch.logits.argmax(-1)
        prompts = [[*p, t] for p, t in zip(prompts, tokens.tolist(), strict=True)]
        batch.advance(tokens)


@torch.inference_mode()
def test_what_was_read_before_is_not_read_again(model: Any) -> None:
    first = FastBatch(model, [[5, 6], [40, 41, 42], [9] * 20])
    first.advance(torch.tensor([1, 2, 3]))
    pasts = [first.past(row) for row in range(3)]
    assert pasts[1]
    assert pasts[1].ids == [40, 41, 42, 2]
    # The first goes on; the second shares two tokens with what was read; the third is new.
    prompts = [[5, 6, 1, 30], [40, 41, 50, 51], [9] * 9]
    again = FastBatch(model, prompts, [pasts[0], pasts[1], None], [3, 2, 0])
    again.advance(torch.tensor([4, 5, 6]))
    for row, (prompt, token) in enumerate(zip(prompts, (4, 5, 6), strict=True)):
        assert (logprobs(again.logits[row]) - alone(model, [*prompt, token])).abs().max() < 1e-5


@torch.inference_mode()
def test_much_to_read_is_read_in_parts(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "AT_ONCE_ON_CPU", 8)
    prompts = [[5, 6], [7, 8], [5, 6, 7], [8, 9, 10], [9] * 20]
    read: list[tuple[int, int]] = []
    model.model.register_forward_pre_hook(
        lambda module, given, named: read.append(tuple(named["input_ids"].shape)), with_kwargs=True
    )
    batch = FastBatch(model, prompts)
    assert read == [(2, 2), (2, 3), (1, 20)]
    for row, prompt in enumerate(prompts):
        assert (logprobs(batch.logits[row]) - alone(model, prompt)).abs().max() < 1e-5


def test_whether_a_model_is_fast_is_tried(model: Any, others: dict[str, Any]) -> None:
    assert is_fast(model)
    assert is_fast(others["learned positions"])
    assert not is_fast(others["biases for positions"])
    assert not is_fast(others["sliding window"])


@pytest.mark.parametrize("name", ["learned positions", "biases for positions", "sliding window"])
def test_other_architectures_write_what_they_would_alone(name: str, others: dict[str, Any]) -> None:
    model = others[name]
    fast = is_fast(model)
    rows = [Row(prompt, 8) for prompt in PROMPTS]
    for row, made in zip(rows, generate(model, rows, (), str, fast), strict=True):
        prompt = list(row.prompt)
        for token in made.ids:
            assert token == alone(model, prompt).argmax()
            prompt.append(token)


def test_a_row_draws_from_its_own_seed_whatever_the_batch(model: Any) -> None:
    rows = [Row(prompt, 10 + 2 * i, i, 1.5, 0.9) for i, prompt in enumerate(PROMPTS)]
    rows.append(Row(PROMPTS[0], 12))  # greedy, among sampled ones
    together = generate(model, rows, (), str, True)
    backwards = generate(model, rows[::-1], (), str, True)[::-1]
    one_by_one = [generate(model, [row], (), str, False)[0] for row in rows]
    assert [w.ids for w in together] == [w.ids for w in backwards] == [w.ids for w in one_by_one]
    assert [len(w.ids) for w in together] == [10, 12, 14, 16, 18, 12]


def test_seeds_differ(model: Any) -> None:
    rows = [Row([5, 6], 12, seed, 1.0) for seed in range(8)]
    assert len({tuple(w.ids) for w in generate(model, rows, (), str, True)}) == 8


def test_greedy_is_what_transformers_generates(model: Any) -> None:
    expected = model.generate(
        torch.tensor([PROMPTS[1]]), max_new_tokens=20, do_sample=False, pad_token_id=1
    )[0, len(PROMPTS[1]) :].tolist()
    made = generate(model, [Row(PROMPTS[1], 20)], {1}, str, True)[0]
    assert made.ids == expected


def test_a_row_ends_at_an_end_token_a_stop_string_or_its_limit(model: Any) -> None:
    free = generate(model, [Row([5, 6], 12)], (), str)[0]
    assert free.finish == "length"
    end = free.ids[4]
    cut = free.ids.index(end) + 1
    ended = generate(model, [Row([5, 6], 12)], {end}, str, True)[0]
    assert (ended.ids, ended.finish) == (free.ids[:cut], "stop")
    assert ended.past
    assert ended.past.ids == [5, 6, *free.ids[: cut - 1]]  # the last one was never read

    def decode(ids: list[int]) -> str:
        return "".join(f"<{i}>" for i in ids)

    row = Row([5, 6], 12, stop=(f"{free.ids[2]}><{free.ids[3]}",))
    stopped = generate(model, [row], (), decode, True)[0]
    assert (stopped.ids, stopped.finish) == (free.ids[:4], "stop")


def test_sampling_follows_temperature_and_top_p() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = chances.log().expand(4000, 4)

    def drawn(temperature: float, top_p: float) -> Tensor:
        rows = [Row([0], 1, seed, temperature, top_p) for seed in range(4000)]
        tokens = Picker(rows, torch.device("cpu"))(logits)
        return torch.bincount(tokens, minlength=4) / 4000

    assert torch.allclose(drawn(1.0, 1.0), chances, atol=0.025)
    squared = chances**2 / (chances**2).sum()
    assert torch.allclose(drawn(0.5, 1.0), squared, atol=0.025)
    # 0.5 is not enough for 0.7, so the second is in, and the two share everything.
    nucleus = torch.tensor([0.625, 0.375, 0, 0])
    assert torch.allclose(drawn(1.0, 0.7), nucleus, atol=0.025)
    assert drawn(1.0, 0.7)[2:].sum() == 0
    assert drawn(0.0, 1.0)[0] == 1
