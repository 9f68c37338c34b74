"""Pairs as ids and masks, and the loss on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dpo_sums import PROMPT, pair, step

from callsmith.chain import Chain, Fault, Problem, Setup, Step
from callsmith.errors import DataError, Rejected
from callsmith.training import TrainingData
from callsmith_dpo import DPO
from callsmith_dpo.data import (
    collator,
    encode_chains,
    encode_pairs,
    fit_length,
    language_dataset,
    preference_dataset,
)
from callsmith_transformers.rendering import Renderer, load_tokenizer

LONG = pair(
    2,
    3,
    chosen=(step("add", 5, a=2, b=3), step("add", 9, a=5, b=4), step("answer", value=9)),
    rejected=(step("add", 6, a=2, b=4), step("answer", value=6)),
)


@pytest.fixture
def renderer(student: Path) -> Renderer:
    return Renderer(load_tokenizer(str(student)))


def test_the_ids_are_those_that_the_rollout_saw(renderer: Renderer) -> None:
    (example,), _ = encode_pairs(TrainingData(PROMPT, [LONG]), renderer)
    steps = LONG.chosen
    for done in range(len(steps)):
        seen = renderer.encode(PROMPT.conversation(LONG.problem, steps[:done]))
        assert (*example.prompt, *example.chosen.ids)[: len(seen)] == tuple(seen)
    assert example.prompt == tuple(renderer.encode(PROMPT.conversation(LONG.problem)))


def test_only_the_students_own_turns_are_learnt(renderer: Renderer) -> None:
    (example,), _ = encode_pairs(TrainingData(PROMPT, [LONG]), renderer)
    tokenizer = renderer.tokenizer
    for side, steps in ((example.chosen, LONG.chosen), (example.rejected, LONG.rejected)):
        assert side
        learnt = [token for token, bit in zip(side.ids, side.mask, strict=True) if bit]
        assert tokenizer.decode(learnt) == "".join(f"{step.text}<|end|>" for step in steps)
    rest = [t for t, bit in zip(example.chosen.ids, example.chosen.mask, strict=True) if not bit]
    assert tokenizer.decode(rest) == "<|tool|>5<|end|><|assistant|><|tool|>9<|end|><|assistant|>"


def test_of_a_pair_with_a_prefix_only_what_follows_is_learnt(renderer: Renderer) -> None:
    prefix = LONG.chosen[:1]
    fault = Fault("unparsable", "that is no call")
    some = replace(
        LONG, prefix=prefix, chosen=LONG.chosen[1:], rejected=(Step("add(5", fault=fault),)
    )
    (example,), _ = encode_pairs(TrainingData(PROMPT, [some]), renderer)
    assert example.prompt == tuple(renderer.encode(PROMPT.conversation(LONG.problem, prefix)))
    assert example.rejected
    # What the student is told of its mistake comes after its last turn, so it is left out.
    assert renderer.tokenizer.decode(example.rejected.ids) == "add(5<|end|>"
    assert all(example.rejected.mask)

    (control,), _ = encode_chains(TrainingData(PROMPT, [some]), renderer)
    assert (control.prompt, control.chosen) == (example.prompt, example.chosen)


def test_a_chain_of_another_dialect_is_written_in_the_students(renderer: Renderer) -> None:
    native = tuple(Step(calls=step.calls, results=step.results) for step in LONG.chosen)
    chain = Chain(LONG.problem, Setup(dialect="native"), native)
    (example,), _ = encode_chains(TrainingData(PROMPT, chains=[chain]), renderer)
    (same,), _ = encode_chains(TrainingData(PROMPT, [LONG]), renderer)
    assert example == same


def test_labels_are_the_masked_ids(renderer: Renderer) -> None:
    examples, _ = encode_chains(TrainingData(PROMPT, [LONG]), renderer)
    row = language_dataset(examples)[0]
    learnt = [token for token in row["labels"] if token != -100]
    assert renderer.tokenizer.decode(learnt) == "".join(f"{s.text}<|end|>" for s in LONG.chosen)
    assert [t for t in row["labels"] if t != -100] == [
        token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100
    ]


def test_each_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    from callsmith_dpo.sampling import LikeLengths

    lengths = [index * 37 % 101 for index in range(1000)]
    sampler = LikeLengths(lengths, 8, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first

    steps = [[lengths[index] for index in first[i : i + 8]] for i in range(0, 1000, 8)]
    padding = sum(len(step) * max(step) for step in steps) / sum(lengths)
    assert padding < 1.1
    # Long and short steps take turns: the rate falls, so nothing may come by length.
    halves = [sum(map(sum, half)) for half in (steps[:62], steps[62:124])]
    assert halves[0] == pytest.approx(halves[1], rel=0.15)


# ---- the loss -------------------------------------------------------------------------------


def by_hand(policy, reference, rows, beta: float, sft_weight: float) -> float:
    """DPO (Rafailov et al. 2023, eq. 7) and the chosen side's own loss, in float64."""

    def each(model: torch.nn.Module, prompt: list[int], ids: list[int], mask: list[int]):
        logits = model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        places = range(len(prompt), len(prompt) + len(ids))
        return [
            logits[place - 1, token]
            for place, token, bit in zip(places, ids, mask, strict=True)
            if bit
        ]

    losses, own = [], []
    for row in rows:
        gains = []
        for side in ("chosen", "rejected"):
            given = row["prompt_ids"], row[f"{side}_ids"], row[f"{side}_mask"]
            now, before = each(policy, *given), each(reference, *given)
            gains.append(sum(now) - sum(before))
            own += now if side == "chosen" else []
        losses.append(-torch.nn.functional.logsigmoid(beta * (gains[0] - gains[1])))
    return (sum(losses) / len(losses) - sft_weight * sum(own) / len(own)).item()


@pytest.fixture
def models(student: Path):
    """The student, and one that has moved away from it; in float32, and in float64."""
    from transformers import AutoModelForCausalLM

    def load(moved: bool, dtype: torch.dtype):
        model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weights in model.parameters():
                noise = torch.randn(weights.shape, generator=generator) * 0.02
                weights.add_(noise if moved else 0)
        return model.to(dtype)

    return load


def trl_loss(models, rows, tmp_path: Path, beta: float, sft_weight: float) -> float:
    """The loss that TRL takes its gradient of, for one batch."""
    from trl import DPOConfig

    from callsmith_dpo.engines import PairsEngine
    from callsmith_dpo.fitting import arguments
    from callsmith_dpo.sampling import LikeLengths
    from callsmith_dpo.settings import DPOSettings

    model = models(False, torch.float32)
    engine = PairsEngine(
        model=model,
        sampler=LikeLengths([1] * len(rows), 1, 0),
        processing_class=load_tokenizer(model.config._name_or_path),
        train_dataset=rows,
        data_collator=collator(0),
        args=DPOConfig(
            **arguments(DPOSettings(), 1, tmp_path),
            beta=beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, sft_weight],
            precompute_ref_log_probs=True,
        ),
    )
    model.load_state_dict(models(True, torch.float32).state_dict())
    model.train()
    batch = collator(0)([engine.train_dataset[i] for i in range(len(rows))])
    return engine.compute_loss(model, batch).item()


def test_the_loss_is_the_one_computed_by_hand(models, renderer: Renderer, tmp_path: Path) -> None:
    pairs = [LONG, pair(1, 2), pair(4, 4), pair(7, 12)]
    examples, _ = encode_pairs(TrainingData(PROMPT, pairs), renderer)
    rows = preference_dataset(examples)
    policy, reference = (models(moved, torch.float64) for moved in (True, False))
    for beta, weight in ((1.0, 0.0), (0.1, 3.0)):
        ours = trl_loss(models, rows, tmp_path, beta, weight)
        assert ours == pytest.approx(by_hand(policy, reference, rows, beta, weight), abs=1e-5)


def test_a_masked_result_is_read_but_not_learnt(models, renderer: Renderer) -> None:
    examples, _ = encode_pairs(TrainingData(PROMPT, [LONG]), renderer)
    row = preference_dataset(examples)[0]
    batch = collator(0)([row])
    for line, side in enumerate(("chosen", "rejected")):
        start, ids = len(row["prompt_ids"]), row[f"{side}_ids"]
        assert batch["input_ids"][line, start : start + len(ids)].tolist() == ids
        mask = batch["completion_mask"][line]
        assert mask[start : start + len(ids)].tolist() == row[f"{side}_mask"]
        assert mask.sum() == sum(row[f"{side}_mask"])
        assert 0 < sum(row[f"{side}_mask"]) < len(ids)


# ---- what is refused ------------------------------------------------------------------------


def test_conversations_that_do_not_fit_are_refused_or_counted(renderer: Renderer) -> None:
    examples, _ = encode_pairs(TrainingData(PROMPT, [LONG, pair(1, 2)]), renderer)
    shorter, longer = sorted(max(example.lengths) for example in examples)
    assert fit_length(examples, longer, "refuse") == (examples, [])
    with pytest.raises(DataError, match=rf"1 of 2 examples .* the longest {longer}"):
        fit_length(examples, longer - 1, "refuse")
    fitting, warnings = fit_length(examples, longer - 1, "drop")
    assert len(fitting) == 1
    assert "left out" in warnings[0]
    with pytest.raises(DataError):
        fit_length(examples, shorter - 1, "drop")


def test_the_window_of_the_student_is_the_limit(student: Path, tmp_path: Path) -> None:
    problem = Problem("word " * 1500)
    data = TrainingData(PROMPT, [pair(1, 2, problem=problem)])
    with pytest.raises(DataError, match="more than 1,024 tokens"):
        DPO().train(str(student), data, {}, tmp_path / "out", print)


def test_pairs_without_a_difference_or_a_turn_are_said(renderer: Renderer) -> None:
    same = pair(1, 2, rejected=pair(1, 2).chosen)
    examples, warnings = encode_pairs(TrainingData(PROMPT, [same, LONG, LONG]), renderer)
    assert len(examples) == 2
    assert "1 pairs" in warnings[0]
    with pytest.raises(DataError, match="read the same"):
        encode_pairs(TrainingData(PROMPT, [same]), renderer)
    with pytest.raises(DataError, match="the rejected side of a pair has no turn"):
        encode_pairs(TrainingData(PROMPT, [pair(1, 2, rejected=())]), renderer)
    with pytest.raises(DataError, match="no preference pairs"):
        encode_pairs(TrainingData(PROMPT), renderer)


def test_students_that_cannot_be_trained_are_refused(student: Path, tmp_path: Path) -> None:
    import shutil

    bare, fickle = tmp_path / "bare", tmp_path / "fickle"
    for folder in (bare, fickle):
        shutil.copytree(student, folder)
    for file in bare.glob("*token*"):
        file.unlink()
    for file in bare.glob("chat_template*"):
        file.unlink()
    # As templates do that drop the thoughts of earlier turns.
    (fickle / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ '<|' + m.role + '|>' }}"
        "{{ m.content if loop.last or m.role != 'assistant' else '...' }}{{ '<|end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    data = TrainingData(PROMPT, [LONG])
    with pytest.raises(Rejected, match="has no tokenizer"):
        DPO().train(str(bare), data, {}, tmp_path / "out", print)
    with pytest.raises(DataError, match="changes earlier turns"):
        DPO().train(str(fickle), data, {}, tmp_path / "out", print)
    assert not (tmp_path / "out.partial").exists()
