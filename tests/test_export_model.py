"""``callsmith export-model``: what was trained here solves elsewhere as it did here."""

from __future__ import annotations

import json
import shlex
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from llama_server import Server

from callsmith import Chain, PairConfig, RolloutConfig, TrainConfig, Workspace
from callsmith.cli import callsmith
from callsmith.errors import CallsmithError

TINY: dict[str, Any] = {"task": "wordproblems", "max_tokens": 48}


def export(home: Path, *arguments: str) -> dict[str, Any]:
    """What ``callsmith export-model --json`` says. Raises what it refuses."""
    command = ["export-model", *arguments, "--home", str(home), "--json"]
    done = CliRunner().invoke(callsmith, command)
    if done.exception:
        raise done.exception
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def solve(home: Path, model: str, **settings: Any) -> list[Chain]:
    """The model's chains of the same twelve problems."""
    work = Workspace(home)
    run = work.teach(RolloutConfig(**TINY, model=model, split="test", limit=12, **settings)).run
    with work.store() as store:
        chains = [chain for chain, _ in store.records(run)]
    return sorted(chains, key=lambda chain: chain.problem.key)


def turns(chains: Sequence[Chain]) -> list[list[str]]:
    return [[step.text for step in chain.steps] for chain in chains]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two trained students: ``whole``, and ``Adapter`` on tiny:student."""
    home = tmp_path_factory.mktemp("home")
    work = Workspace(home)
    run = RolloutConfig(**TINY, model="tiny:student", limit=20, attempts=4, temperature=1.0)
    work.teach(run)
    work.pairs("pairs", [run.name], PairConfig(per_problem=2))
    config = {"steps": 3, "batch_size": 4, "beta": 1.0, "stop_on_collapse": False}
    dpo: dict[str, Any] = {"task": "wordproblems", "student": "tiny:student", "pairs": "pairs"}
    work.train(TrainConfig(**dpo, name="whole", config={**config, "learning_rate": 3e-4}))
    config |= {"lora": 8, "learning_rate": 1e-2}
    work.train(TrainConfig(**dpo, name="Adapter", config=config))
    return home


# ---- llama.cpp ----------------------------------------------------------------------------------


def test_llama_cpp_writes_the_same_tokens_as_likely_as_transformers(
    llama_server: str, tmp_path: Path
) -> None:
    import torch

    from callsmith_tiny.backend import MODELS
    from callsmith_transformers.exporting import load_student

    teacher = load_student(str(MODELS / "teacher"), "teacher", "float32")
    chains = solve(tmp_path, "tiny:teacher")
    prompt = {"role": "system", "content": "add(a, b)"}  # all that the teacher sees of it
    compared = 0
    for chain in chains:
        messages = [prompt, {"role": "user", "content": chain.problem.text}]
        for step in chain.steps:
            body = {"messages": messages, "max_tokens": 48, "temperature": 0, "logprobs": True}
            data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{llama_server}/chat/completions", data, kind)
            with urllib.request.urlopen(request) as opened:
                answer = json.load(opened)
            (choice,) = answer["choices"]
            assert choice["message"]["content"] == step.text
            ids = teacher.renderer.encode(messages)
            assert answer["usage"]["prompt_tokens"] == len(ids)
            made = choice["logprobs"]["content"]
            written = torch.tensor([ids + [token["id"] for token in made]])
            with torch.inference_mode():
                logits = teacher.model(written).logits[0, len(ids) - 1 : -1]
            best = logits.log_softmax(-1).max(-1)
            assert [token["id"] for token in made] == best.indices.tolist()
            chances = [token["logprob"] for token in made]
            assert chances == pytest.approx(best.values.tolist(), abs=0.01)
            compared += len(made)
            results = [str(result.value) for result in step.results]
            messages.append({"role": "assistant", "content": step.text})
            messages.append({"role": "tool", "content": "\n".join(results)})
    assert compared > 200


@pytest.mark.parametrize("student", ["tiny:student", "whole", "Adapter"])
def test_the_student_solves_behind_llama_cpp_as_it_did_here(home: Path, student: str) -> None:
    said = export(home, student, "--to", "gguf", "--precision", "float32")
    (file,) = Path(said["folder"]).iterdir()
    serve, ask = map(shlex.split, said["next"])
    assert serve[serve.index("-m") + 1] == str(file)
    alias = serve[serve.index("--alias") + 1]
    assert ask[ask.index("-m") + 1].startswith(f"openai:{alias}@http://127.0.0.1:")
    told: dict[str, Any] = {
        "dialect": ask[ask.index("--dialect") + 1],
        "shots": int(ask[ask.index("--shots") + 1]),
    }
    here = solve(home, student)
    with Server(file, alias=alias) as server:
        there = solve(home, f"openai:{alias}@{server.url}", **told)
    assert turns(there) == turns(here)
    assert [chain.answer for chain in there] == [chain.answer for chain in here]
    assert len({str(chain.answer) for chain in here}) > 5


# ---- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["hf", "ollama"])
def test_the_folder_is_a_model_of_its_own(home: Path, tmp_path: Path, form: str) -> None:
    precision = ("--precision", "float32")
    said = export(home, "Adapter", "--to", form, "--out", str(tmp_path / "out"), *precision)
    here = solve(home, "Adapter")
    assert turns(here) != turns(solve(home, "tiny:student")), "it has learnt something"
    # Dialect and shots come with it, and nothing of the workspace is needed.
    assert turns(solve(tmp_path, f"hf:{said['folder']}")) == turns(here)


def test_the_commands_for_ollama_say_how_it_was_trained(home: Path) -> None:
    said = export(home, "Adapter", "--to", "ollama")
    folder = home / "exports" / "adapter-ollama"
    assert said["folder"] == str(folder)
    assert said["next"] == [
        f"ollama create adapter -f {folder}/Modelfile",
        "callsmith ask -t wordproblems --problem 0 -m ollama:adapter --dialect text --shots 0",
    ]
    assert (folder / "adapter.gguf").exists()
    modelfile = (folder / "Modelfile").read_text()
    assert modelfile.startswith(
        "# adapter, to call functions in callsmith's dialect text, shown 0 "
    )
    assert 'TEMPLATE """<|functions|>{{ range .Messages }}' in modelfile


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("student", "reason"),
    [
        ("nobody", "there is no trained model 'nobody'"),
        (
            "openai:x@http://127.0.0.1:9/v1",
            "can't be exported: only models trained here and hf:PATH can",
        ),
        ("hf:./nowhere", "there is no folder './nowhere'"),
    ],
)
def test_what_is_no_model_of_ours_is_refused(home: Path, student: str, reason: str) -> None:
    with pytest.raises(CallsmithError, match=reason):
        export(home, student, "--to", "hf")


def test_nothing_is_written_over(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CallsmithError, match="is there already: remove it, or choose another"):
        export(home, "tiny:student", "--to", "hf", "--out", str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
