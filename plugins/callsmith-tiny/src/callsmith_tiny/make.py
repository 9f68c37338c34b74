"""Makes the two models from ``wordproblems`` and nothing else: ``python -m callsmith_tiny.make``.

It trains on that task's train split only, of seeds that nobody else uses, and marks the models on
its validation split. On one core it takes about twenty minutes.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from callsmith.chain import Problem
from callsmith.control import answer_function, reasoning
from callsmith.dialects import Prompt
from callsmith.isolation import Workers
from callsmith.plugins import load_registry
from callsmith_math.wordproblems import WordProblems
from callsmith_tiny.backend import MODELS, NAMES
from callsmith_tiny.card import card
from callsmith_tiny.corpus import Corpus, Planner
from callsmith_tiny.examination import examine
from callsmith_tiny.fitting import fit, make_model
from callsmith_tiny.habits import student_plan, teacher_plan
from callsmith_tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENDLESS = 10**9
TOKENIZER_PROBLEMS = 6_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two models: its size, how long it is trained, and on which chains.

    ``problems`` is the seed of the problems it is trained on.
    """

    layers: int
    steps: int
    planner: Planner
    problems: int


KINDS = {
    "teacher": Kind(layers=4, steps=2_200, planner=teacher_plan, problems=7_001),
    "student": Kind(layers=2, steps=2_500, planner=student_plan, problems=7_002),
}

console = Console()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What both models are made with."""

    task: WordProblems
    prompt: Prompt
    direct: Prompt
    tokenizer: PreTrainedTokenizerFast


def open_workshop() -> Workshop:
    """The task, its prompts with and without functions, and a tokenizer trained on its problems."""
    task = WordProblems()
    functions = load_registry().functions(task.functions)
    answer = {"answer": answer_function(task.answer)}
    offered = functions | {"reasoning": reasoning} | answer
    texts = (p.question for p in islice(endless_problems(7_000), TOKENIZER_PROBLEMS))
    return Workshop(
        task,
        prompt=Prompt(task.instructions, offered, tool_role=True),
        direct=Prompt(task.instructions, answer, tool_role=True),
        tokenizer=make_tokenizer(texts, offered),
    )


def endless_problems(seed: int) -> Iterator[Problem]:
    """Fresh problems of the train split."""
    return WordProblems(seed=seed, size=ENDLESS).problems("train")


async def make(name: str, folder: Path, workshop: Workshop, kind: Kind, seed: int) -> None:
    """Train one model into a folder of its own, without its card."""
    import torch

    # One core: the same result whatever the machine has, and these matrices are too small for two.
    torch.set_num_threads(1)
    model = make_model(workshop.tokenizer, kind.layers, seed)
    corpus = Corpus(
        tokenizer=workshop.tokenizer,
        prompt=workshop.prompt,
        direct=workshop.direct,
        task=workshop.task,
        problems=endless_problems(kind.problems + 10 * seed),
        planner=kind.planner,
        workers=Workers(),
        dice=random.Random(seed),
    )
    began, losses = time.perf_counter(), deque[float](maxlen=100)

    def show(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 100 == 0 or step == kind.steps:
            mean, seconds = sum(losses) / len(losses), time.perf_counter() - began
            console.print(f"{name} step {step}/{kind.steps}  loss {mean:.3f}  {seconds:.0f} s")

    await fit(model, corpus.batches(), kind.steps, show)
    model.half().save_pretrained(folder)
    # safetensors makes it readable for its owner alone, and a package is for everybody.
    (folder / "model.safetensors").chmod(0o644)
    workshop.tokenizer.save_pretrained(folder)
    # What `hf:` reads of a model that callsmith made: it was shown no worked examples.
    facts = {"shots": 0, "dialect": "text", "task": workshop.task.name}
    (folder / "callsmith.json").write_text(json.dumps({"facts": facts}) + "\n", encoding="utf-8")


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=MODELS, help="Where to put them.")
@click.option("--model", "names", type=click.Choice(NAMES), multiple=True, default=NAMES)
@click.option("--steps", type=click.IntRange(1), help="Fewer steps, to see that it works.")
@click.option("--problems", default=500, help="How many problems to mark them on.")
@click.option("--seed", default=0)
def main(out: Path, names: tuple[str, ...], steps: int | None, problems: int, seed: int) -> None:
    workshop = open_workshop()
    for name in names:
        kind = KINDS[name]
        if steps:
            kind = Kind(kind.layers, steps, kind.planner, kind.problems)
        began = time.perf_counter()
        folder = out / name
        asyncio.run(make(name, folder, workshop, kind, seed))
        minutes = (time.perf_counter() - began) / 60
        unseen = list(islice(workshop.task.problems("validation"), problems))
        marks = asyncio.run(
            examine(folder, workshop.task.judge, unseen, workshop.prompt, workshop.direct)
        )
        text = card(name, kind.layers, kind.steps, marks, minutes)
        (folder / "README.md").write_text(text, encoding="utf-8")
        console.print(f"{folder}: {marks}, made in {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
