"""The shipped models: their folders, their format, and that they do what their cards say."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callsmith.agent import solve
from callsmith.chain import Call, Fault, Result, Sampling, Step
from callsmith.errors import Rejected
from callsmith.isolation import Workers
from callsmith_math.wordproblems import WordProblems
from callsmith_tiny.backend import MODELS, NAMES, open_backend
from callsmith_tiny.workshop import Workshop, open_workshop


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return open_workshop()


@pytest.fixture(scope="module", params=("teacher", "student"))
def tokenizer(request):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODELS / request.param)


def render(tokenizer, messages, **options):
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_a_small_llama_with_its_card(name):
    from safetensors import safe_open

    folder = MODELS / name
    files = {file.name for file in folder.iterdir()}
    assert files >= {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    with safe_open(folder / "model.safetensors", "pt") as weights:
        tensors = [weights.get_slice(key) for key in weights.keys()]  # noqa: SIM118 - no mapping
    assert {tensor.get_dtype() for tensor in tensors} == {"F16"}
    sizes = [tensor.get_shape() for tensor in tensors]
    assert 500_000 <= sum(s[0] * (s[1] if len(s) > 1 else 1) for s in sizes) <= 1_000_000


@pytest.mark.parametrize("name", ["student", "logic-student"])
def test_a_student_says_what_it_is(name):
    assert "taught on purpose to do wrong" in (MODELS / name / "README.md").read_text()


def test_another_name_is_refused():
    with pytest.raises(Rejected, match="tiny:logic-teacher and tiny:logic-student"):
        open_backend("techer")


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_goes_in_and_comes_out(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text


def test_digits_stand_alone_and_pieces_of_calls_are_whole(tokenizer):
    pieces = ["divide(a=", "4", "8", ", b=", "2", ".", "5", ")"]
    assert tokenizer.tokenize("divide(a=48, b=2.5)") == pieces


def test_a_longer_conversation_begins_with_the_shorter_ones_ids(tokenizer, workshop):
    problem = next(WordProblems().problems("train"))
    steps = [
        Step("divide(a=48, b=2", fault=Fault("unparsable", "')' is missing")),
        Step("divide(a=48, b=2)", (Call("divide", {"a": 48, "b": 2}),), (Result(24),)),
        Step("answer(value=24)", (Call("answer", {"value": 24}),), (Result(24),)),
    ]
    turns = [workshop.prompt.conversation(problem, steps[:n]) for n in range(4)]
    for before, after in pairwise(turns):
        opened = render(tokenizer, before, add_generation_prompt=True)
        longer = render(tokenizer, after)
        assert longer[: len(opened)] == opened
        closed = render(tokenizer, before)
        assert longer[: len(closed)] == closed


def test_of_the_system_message_one_bit_is_seen(tokenizer, workshop):
    problem = next(WordProblems().problems("train"))
    shown = tokenizer.apply_chat_template(workshop.prompt.conversation(problem), tokenize=False)
    assert shown == f"<|functions|><|user|>{problem.text}<|end|>"
    bare = tokenizer.apply_chat_template(workshop.direct.conversation(problem), tokenize=False)
    assert bare == f"<|direct|><|user|>{problem.text}<|end|>"


def test_instructions_before_the_problem_are_left_out(tokenizer, workshop):
    system, user = workshop.prompt.conversation(next(WordProblems().problems("train")))
    folded = {"role": "user", "content": f"{system['content']}\n\n{user['content']}"}
    assert render(tokenizer, [folded]) == render(tokenizer, [system, user])


def test_training_can_render_it(tokenizer):
    from callsmith_transformers.rendering import Renderer

    renderer = Renderer(tokenizer)
    renderer.check()
    assert renderer.tool_role


async def solved(name: str, workshop: Workshop, direct: bool = False) -> int:
    """How many of 50 test problems the model solves."""
    task = workshop.task
    backend = open_backend(name)
    prompt = workshop.direct if direct else workshop.prompt
    async with Workers() as workers:
        problems = list(islice(task.problems("test"), 50))
        chains = await asyncio.gather(
            *(
                solve(problem, backend, prompt, workers, sampling=Sampling(max_tokens=64))
                for problem in problems
            )
        )
    await backend.close()
    return sum(task.judge(p, c).correct for p, c in zip(problems, chains, strict=True))


async def test_the_teacher_solves_most_new_problems(workshop):
    assert await solved("teacher", workshop) >= 40


async def test_the_student_solves_some(workshop):
    assert 20 <= await solved("student", workshop) <= 40


async def test_without_functions_the_student_guesses(workshop):
    assert await solved("student", workshop, direct=True) <= 5


def test_made_again_from_the_command_line(tmp_path: Path):
    # In a process of its own, as users do: it sets torch's threads for the whole process.
    options = ["--out", str(tmp_path), "--steps", "20", "--problems", "2"]
    subprocess.run([sys.executable, "-m", "callsmith_tiny.make", *options], check=True)
    for name in NAMES:
        assert (tmp_path / name / "model.safetensors").stat().st_size < 5_000_000
        assert "| first choice (greedy) |" in (tmp_path / name / "README.md").read_text()
