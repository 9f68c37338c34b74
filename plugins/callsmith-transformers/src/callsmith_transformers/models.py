"""Models from folders or the hub: device, precision, adapters on their base."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callsmith.errors import Rejected


def resolve(name: str) -> str:
    """The folder ``name`` stands for, or ``name`` itself if it can only be one of the hub's.

    Raises Rejected for a path where no model is.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not any((folder / file).exists() for file in ("config.json", "adapter_config.json")):
            raise Rejected(
                f"the folder {name} holds no model: it has neither a config.json nor an "
                "adapter_config.json"
            )
        return str(folder)
    if not name or name.startswith((".", "/", "~")) or name.count("/") > 1 or folder.exists():
        raise Rejected(
            f"there is no folder {name!r}: give a model's folder, or its name on the Hugging Face "
            "hub (hf:owner/name)"
        )
    return name


def check_weights(name: str) -> None:
    """Raise Rejected for a folder that describes a model and holds no weights."""
    folder = Path(name)
    if not folder.is_dir():
        return  # the hub's: whether it is there shows when it is read
    if not any(file.suffix in (".safetensors", ".bin") for file in folder.iterdir()):
        raise Rejected(f"the folder {name} holds no weights: it has no *.safetensors file")
    if base := base_of(name):
        check_weights(base)


def read_config(name: str) -> Any:
    """A model's configuration; of an adapter, its base model's. Raises Rejected."""
    from transformers import AutoConfig

    with told(name):
        return AutoConfig.from_pretrained(base_of(name) or name)


def load_model(name: str, device: str = "auto") -> Any:
    """The model, ready to generate: an adapter merged into its base, in the device's precision.

    bfloat16 on CUDA, float16 on MPS, float32 on a CPU, where half precision is slow or missing.
    Raises Rejected if there is no such model, or no such device.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    if device == "auto":
        has_mps = torch.backends.mps.is_available()
        device = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    kind = device.partition(":")[0]
    dtype = {"cuda": torch.bfloat16, "mps": torch.float16}.get(kind, torch.float32)
    base = base_of(name)
    with told(name):
        model = AutoModelForCausalLM.from_pretrained(base or name, dtype=dtype)
        if base:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, name).merge_and_unload()
    try:
        return model.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise Rejected(f"{name} is too large for the memory of {device}") from error
    except (RuntimeError, AssertionError) as error:
        raise Rejected(f"{device} can't be used here: {_line(error)}") from error


def base_of(name: str) -> str:
    """The name of the model that an adapter belongs to, empty if ``name`` is no adapter."""
    described = Path(name) / "adapter_config.json"
    if not described.exists():
        return ""
    base: str = json.loads(described.read_text())["base_model_name_or_path"]
    return base


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turns what loading raises into one sentence."""
    try:
        yield
    except OSError as error:
        if Path(name).exists():
            raise Rejected(f"the model {name} can't be read: {_line(error)}") from error
        raise Rejected(
            f"there is no model {name} here, and the Hugging Face hub does not give it: check the "
            "name, the connection, and that you may use it"
        ) from error
    except Exception as error:  # every file format fails in its own way
        raise Rejected(f"the model {name} can't be read: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """An exception in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
