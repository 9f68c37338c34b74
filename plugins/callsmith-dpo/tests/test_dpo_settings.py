"""Settings are checked before anything is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from callsmith.errors import DataError
from callsmith_dpo import DPO, SFT
from callsmith_dpo.settings import DPOSettings, SFTSettings, read


def test_defaults_and_numbers() -> None:
    settings = read(DPOSettings, {"beta": 1, "epochs": 2})
    assert (settings.beta, settings.epochs, settings.batch_size) == (1, 2, 8)
    assert read(SFTSettings, {"compute": 1e6}).compute == 1e6


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"learning_rat": 1e-5}, "'learning_rat': did you mean learning_rate?"),
        ({"xyzzy": 1}, "there are batch_size, beta"),
        ({"batch_size": "8"}, "batch_size must be a whole number, not '8'"),
        ({"batch_size": True}, "batch_size must be a whole number, not True"),
        ({"steps": 1.5}, "steps must be a whole number, not 1.5"),
        ({"precision": "fp8"}, "precision must be 'auto' or 'float32' or 'bfloat16', not 'fp8'"),
        ({"gradient_checkpointing": 1}, "must be true or false, not 1"),
        ({"epochs": 2, "steps": 10}, "set epochs or steps, not both"),
        ({"beta": 0}, "beta must be more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be more than 0"),
        ({"warmup": 1}, "warmup is a share"),
        ({"lora": -1}, "lora can't be -1"),
    ],
)
def test_what_is_refused(config: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        DPO().check(config)
    assert sentence in str(caught.value)


def test_each_trainer_has_its_own() -> None:
    with pytest.raises(DataError, match="'beta'"):
        SFT().check({"beta": 1.0})
    with pytest.raises(DataError, match="'compute'"):
        DPO().check({"compute": 1.0})


def test_checking_loads_nothing_heavy() -> None:
    code = (
        "import sys, callsmith_dpo, callsmith_dpo.plugin\n"
        "before = {'callsmith_dpo.trainers', 'torch'} & set(sys.modules)\n"
        "callsmith_dpo.DPO().check({'beta': 1.0})\n"
        "after = {'torch', 'transformers', 'trl', 'datasets', 'peft'} & set(sys.modules)\n"
        "print(before, after)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() set()\n"
