"""The trainers end to end: what they write, refuse, and go on from."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from callsmith.errors import DataError
from callsmith.training import TrainingData
from callsmith_dpo import DPO, SFT
from callsmith_transformers.rendering import Renderer, load_tokenizer

QUICK = {"steps": 12, "learning_rate": 2e-3, "batch_size": 8, "beta": 1.0}


def quiet(line: object) -> None: ...


def log_probability(model: torch.nn.Module, ids: list[int], mask: list[int]) -> float:
    """Of the masked ids together, as the model sees them."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    each = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return float((each * torch.tensor(mask[1:])).sum())


def chosen(data: TrainingData, student: Path) -> list[tuple[list[int], list[int]]]:
    """Ids and masks of the chosen chains, straight from the renderer."""
    renderer = Renderer(load_tokenizer(str(student)))
    rendered = [
        renderer.conversation(data.prompt.conversation(pair.problem, pair.chosen))
        for pair in data.pairs
    ]
    return [(whole.ids, whole.mask) for whole in rendered]


def test_dpo_learns_to_prefer(student: Path, data: TrainingData, tmp_path: Path) -> None:
    seen = []
    trained = DPO().train(str(student), data, QUICK, tmp_path / "out", seen.append)

    assert trained.steps == 12
    assert [line["step"] for line in seen] == list(range(1, 13))
    assert all(line["steps"] == 12 for line in seen)
    assert seen[-1]["reward_accuracy"] == 1.0
    assert seen[-1]["margin"] > seen[1]["margin"]
    assert seen[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # nothing is preferred yet
    assert trained.metrics["reward_accuracy"] == 1.0
    logged = [json.loads(line) for line in (trained.path / "metrics.jsonl").open()]
    assert logged == seen


def test_the_finished_folder(student: Path, data: TrainingData, tmp_path: Path) -> None:
    trained = DPO().train(str(student), data, QUICK, tmp_path / "out", quiet)

    marker = json.loads((trained.path / "callsmith.json").read_text())
    assert marker["facts"] == {"task": "sums", "run": "first"}
    assert marker["identity"]["beta"] == 1.0
    assert marker["steps"] == 12
    assert marker["versions"]["trl"]
    card = (trained.path / "README.md").read_text()
    assert "sums" in card
    assert "reward_accuracy" in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    # The tokenizer is the student's own, template included.
    ours, theirs = load_tokenizer(str(trained.path)), load_tokenizer(str(student))
    assert ours.chat_template == theirs.chat_template
    assert ours("add(a=1)").input_ids == theirs("add(a=1)").input_ids


@pytest.mark.parametrize("lora", [0, 4])
def test_what_is_saved_is_what_was_trained(
    student: Path, data: TrainingData, tmp_path: Path, lora: int
) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    # All pairs in each step, and a rate of nearly nothing at the end: what is logged last is the
    # log-probability of the chosen chains under the weights that are saved.
    config = {**QUICK, "lora": lora, "batch_size": 20, "scheduler": "cosine"}
    trained = DPO().train(str(student), data, config, tmp_path / "out", quiet)

    kind = AutoPeftModelForCausalLM if lora else AutoModelForCausalLM
    assert (trained.path / "adapter_config.json").exists() == bool(lora)
    model = kind.from_pretrained(trained.path, dtype=torch.float32)
    found = [log_probability(model, ids, mask) for ids, mask in chosen(data, student)]
    assert sum(found) / len(found) == pytest.approx(trained.metrics["logp_chosen"], abs=0.05)


def test_an_adapter_is_merged_and_trained_on(
    student: Path, data: TrainingData, tmp_path: Path
) -> None:
    first = DPO().train(str(student), data, {**QUICK, "lora": 4}, tmp_path / "a", quiet)
    second = SFT().train(
        str(first.path), replace(data, facts={}), {"steps": 2, "lora": 4}, tmp_path / "b", quiet
    )
    # No adapter could stand on a merged model, which is on no disk.
    assert not (second.path / "adapter_config.json").exists()

    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    ids, mask = chosen(data, student)[0]
    before = log_probability(AutoPeftModelForCausalLM.from_pretrained(first.path), ids, mask)
    after = log_probability(AutoModelForCausalLM.from_pretrained(second.path), ids, mask)
    plain = log_probability(AutoModelForCausalLM.from_pretrained(student), ids, mask)
    assert abs(after - before) < 1.0 < before - plain


def test_sft_learns_the_chosen_sides(student: Path, data: TrainingData, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    config = {"steps": 12, "learning_rate": 1e-2}
    trained = SFT().train(str(student), data, config, tmp_path / "out", quiet)
    ids, mask = chosen(data, student)[0]
    before, after = (
        log_probability(AutoModelForCausalLM.from_pretrained(folder), ids, mask)
        for folder in (student, trained.path)
    )
    assert after > before + 10
    assert 0 < trained.metrics["token_accuracy"] <= 1


def test_a_control_at_equal_compute(student: Path, data: TrainingData, tmp_path: Path) -> None:
    first = DPO().train(str(student), data, {"epochs": 2}, tmp_path / "dpo", quiet)
    tokens = sum(len(ids) for ids, _ in chosen(data, student))
    assert first.metrics["tokens"] > 2 * 2 * 0.9 * tokens  # two epochs, two sides
    # Training costs three passes, the reference one.
    assert first.metrics["compute"] == first.metrics["tokens"] * 3.5

    config = {"compute": first.metrics["compute"]}
    control = SFT().train(str(student), data, config, tmp_path / "sft", quiet)
    assert control.metrics["compute"] == pytest.approx(first.metrics["compute"], rel=0.1)


def test_a_collapse_stops_training(student: Path, data: TrainingData, tmp_path: Path) -> None:
    config = {**QUICK, "steps": 12, "learning_rate": 0.3}  # nothing survives this
    trained = DPO().train(str(student), data, config, tmp_path / "a", quiet)
    assert trained.steps < 12
    assert trained.metrics["logp_chosen_change"] < -2
    assert "chosen chains became far less likely" in trained.warnings[0]
    assert "became far less likely" in (trained.path / "README.md").read_text()

    config["stop_on_collapse"] = False
    trained = DPO().train(str(student), data, config, tmp_path / "b", quiet)
    assert trained.steps == 12
    assert len(trained.warnings) == 1


def test_a_fall_is_told_from_luck_and_from_a_collapse(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from callsmith_dpo.settings import DPOSettings
    from callsmith_dpo.watch import Watch

    def warnings(*changes: float) -> list[str]:
        """After these changes of chains that had a log-probability of -2."""
        watch = Watch(tmp_path / "metrics.jsonl", quiet, DPOSettings(beta=0.5))
        control = SimpleNamespace(should_training_stop=False)
        for step, change in enumerate(changes, 1):
            logs = {"loss": 0.5, "logps/chosen": change - 2.0, "rewards/chosen": 0.5 * change}
            watch.on_log(None, SimpleNamespace(global_step=step, max_steps=8), control, logs)
        return watch.warnings

    assert warnings(0.0, -3.0, 0.5, 0.5, 0.4, 0.4, 0.3, 0.3) == []  # one log of bad luck
    assert warnings(0.0, -0.3, -0.3, -0.2, -0.1, -0.1, -0.1, -0.1) == []
    assert "ended less likely" in warnings(0.0, -0.3, -0.3, -0.5, -0.5, -0.7, -0.8, -0.9)[0]
    assert "by step 3" in warnings(0.0, -2.5, -2.5, -1.0, 0.5, 0.5, 0.5, 0.5)[0]


@pytest.mark.parametrize(("every", "expected"), [(10_000, True), (0, False)])
def test_there_is_a_checkpoint_after_a_while_however_few_steps_were_made(
    every: int,
    expected: bool,
    student: Path,
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from callsmith_dpo import watch

    monkeypatch.setattr(watch, "BETWEEN_CHECKPOINTS", 0.0)
    seen: set[Path] = set()
    DPO().train(
        str(student),
        data,
        {**QUICK, "checkpoint_every": every},
        tmp_path / "out",
        lambda line: seen.update((tmp_path / "out.partial").glob("checkpoint-*")),
    )
    assert bool(seen) == expected


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from dpo_sums import PAIRS, PROMPT
from callsmith.training import TrainingData
from callsmith_dpo import DPO

def progress(line):
    if line["step"] == 8:
        os.kill(os.getpid(), signal.SIGKILL)

DPO().train({student!r}, TrainingData(PROMPT, PAIRS), {config!r}, Path({out!r}), progress)
"""


def test_a_killed_training_goes_on_to_the_same_weights(
    student: Path, data: TrainingData, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    config = {**QUICK, "checkpoint_every": 5}
    script = KILLED.format(
        tests=str(Path(__file__).parent),
        student=str(student),
        config=config,
        out=str(tmp_path / "out"),
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], env=os.environ, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    # A checkpoint that the kill cut short is not gone on from.
    (tmp_path / "out.partial" / "checkpoint-9").mkdir()

    data = TrainingData(data.prompt, data.pairs)
    seen = []
    resumed = DPO().train(str(student), data, config, tmp_path / "out", seen.append, resume=True)
    whole = DPO().train(str(student), data, config, tmp_path / "whole", quiet)

    assert seen[0]["step"] == 6
    assert resumed.steps == whole.steps == 12
    logged = [json.loads(line) for line in (resumed.path / "metrics.jsonl").open()]
    assert [line["step"] for line in logged] == list(range(1, 13))
    ours, theirs = (load_file(model.path / "model.safetensors") for model in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    # Started once more, there is nothing left to do.
    again = DPO().train(str(student), data, config, tmp_path / "out", seen.append, resume=True)
    assert again == resumed
    assert seen[-1]["step"] == 12
    assert len(seen) == 7


def test_an_interrupted_adapter_goes_on(student: Path, data: TrainingData, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    def interrupt(line: Mapping[str, float]) -> None:
        if line["step"] == 8:
            raise KeyboardInterrupt

    config = {**QUICK, "lora": 4, "checkpoint_every": 5, "gradient_accumulation": 2}
    with pytest.raises(KeyboardInterrupt):
        DPO().train(str(student), data, config, tmp_path / "out", interrupt)
    resumed = DPO().train(str(student), data, config, tmp_path / "out", quiet, resume=True)
    whole = DPO().train(str(student), data, config, tmp_path / "whole", quiet)
    ours, theirs = (load_file(m.path / "adapter_model.safetensors") for m in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_training_is_not_gone_on_from(
    student: Path, data: TrainingData, tmp_path: Path
) -> None:
    DPO().train(str(student), data, QUICK, tmp_path / "out", quiet)
    with pytest.raises(DataError, match=r"beta 1.0 → 0.5"):
        DPO().train(
            str(student), data, {**QUICK, "beta": 0.5}, tmp_path / "out", quiet, resume=True
        )
    other = replace(data, facts={"student_weights": "made anew"})
    with pytest.raises(DataError, match="made anew"):
        DPO().train(str(student), other, QUICK, tmp_path / "out", quiet, resume=True)
    with pytest.raises(DataError, match="holds a trained model"):
        DPO().train(str(student), data, QUICK, tmp_path / "out", quiet)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DataError, match="choose another"):
        DPO().train(str(student), data, QUICK, tmp_path / "mine", quiet)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_disk_that_takes_no_more_is_said(
    student: Path, data: TrainingData, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"can't write .*file/out"):
        DPO().train(str(student), data, QUICK, tmp_path / "file" / "out", quiet)

    def full(line: object) -> None:
        """No file may grow beyond a few bytes from now on."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for config in ({"steps": 2}, {"steps": 2, "checkpoint_every": 1}):
        try:
            with pytest.raises(DataError, match="can't write"):
                SFT().train(str(student), data, config, tmp_path / "out", full)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_is_said(
    student: Path, data: TrainingData, tmp_path: Path
) -> None:
    config = {**QUICK, "learning_rate": 1e30}
    with pytest.raises(DataError, match="lower learning_rate"):
        DPO().train(str(student), data, config, tmp_path / "out", quiet)


def test_nothing_is_printed(
    student: Path, data: TrainingData, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    DPO().train(str(student), data, QUICK, tmp_path / "dpo", quiet)
    SFT().train(str(student), data, {"steps": 2}, tmp_path / "sft", quiet)
    assert capfd.readouterr() == ("", "")
