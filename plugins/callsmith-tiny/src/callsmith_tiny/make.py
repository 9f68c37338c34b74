"""Makes the models from generated problems and nothing else: ``python -m callsmith_tiny.make``.

``teacher`` and ``student`` from ``wordproblems``, ``logic-teacher`` and ``logic-student`` from
``deduction``. It trains on that task's train split only, of seeds that nobody else uses, and marks
the models on its validation split. On one core it takes three quarters of an hour.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import click
from rich.console import Console

from callsmith.isolation import Workers
from callsmith_tiny.backend import MODELS, NAMES
from callsmith_tiny.card import card
from callsmith_tiny.corpus import DIRECT, Corpus, Planner
from callsmith_tiny.examination import examine
from callsmith_tiny.fitting import fit, make_model
from callsmith_tiny.habits import student_plan, teacher_plan
from callsmith_tiny.logic_habits import logic_student_plan, logic_teacher_plan
from callsmith_tiny.logic_workshop import open_logic_workshop
from callsmith_tiny.workshop import Workshop, open_workshop


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the models: its size, how long it is trained, and on which chains.

    ``problems`` is the seed of the problems it is trained on; ``direct`` the share of them that it
    answers at once, with no function to call. ``start`` is the model whose weights it goes on from,
    made before it; by default it is made from scratch.
    """

    layers: int
    steps: int
    planner: Planner
    problems: int
    workshop: Callable[[], Workshop] = open_workshop
    direct: float = DIRECT
    start: str = ""


KINDS = {
    "teacher": Kind(layers=4, steps=2_200, planner=teacher_plan, problems=7_001),
    "student": Kind(layers=2, steps=2_500, planner=student_plan, problems=7_002),
    "logic-teacher": Kind(4, 3_000, logic_teacher_plan, 7_200, open_logic_workshop, direct=0.0),
    "logic-student": Kind(
        4, 500, logic_student_plan, 7_300, open_logic_workshop, start="logic-teacher"
    ),
}

console = Console()


async def make(name: str, folder: Path, workshop: Workshop, kind: Kind, seed: int) -> float:
    """Train one model into a folder of its own, without its card. Gives the seconds of CPU."""
    import torch
    from transformers import LlamaForCausalLM

    # One core: the same result whatever the machine has, and these matrices are too small for two.
    torch.set_num_threads(1)
    if kind.start:
        torch.manual_seed(seed)
        model = LlamaForCausalLM.from_pretrained(folder.parent / kind.start, dtype=torch.float32)
    else:
        model = make_model(workshop.tokenizer, kind.layers, seed)
    corpus = Corpus(
        tokenizer=workshop.tokenizer,
        prompt=workshop.prompt,
        direct=workshop.direct,
        reference=workshop.reference,
        problems=workshop.problems(kind.problems + 10 * seed),
        planner=kind.planner,
        workers=Workers(),
        dice=random.Random(seed),
        share=kind.direct,
        chains=workshop.chains,
    )
    began, losses = time.process_time(), deque[float](maxlen=100)

    def show(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 100 == 0 or step == kind.steps:
            mean, seconds = sum(losses) / len(losses), time.process_time() - began
            console.print(f"{name} step {step}/{kind.steps}  loss {mean:.3f}  {seconds:.0f} s")

    await fit(model, corpus.batches(), kind.steps, show)
    spent = time.process_time() - began
    model.half().save_pretrained(folder)
    # safetensors makes it readable for its owner alone, and a package is for everybody.
    (folder / "model.safetensors").chmod(0o644)
    workshop.tokenizer.save_pretrained(folder)
    # What `hf:` reads of a model that callsmith made: it was shown no worked examples.
    facts = {"shots": 0, "dialect": "text", "task": workshop.task.name}
    (folder / "callsmith.json").write_text(json.dumps({"facts": facts}) + "\n", encoding="utf-8")
    return spent


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=MODELS, help="Where to put them.")
@click.option("--model", "names", type=click.Choice(NAMES), multiple=True, default=NAMES)
@click.option("--steps", type=click.IntRange(1), help="Fewer steps, to see that it works.")
@click.option("--problems", default=500, help="How many problems to mark them on.")
@click.option("--seed", default=0)
def main(out: Path, names: tuple[str, ...], steps: int | None, problems: int, seed: int) -> None:
    for name in names:
        kind = KINDS[name]
        if steps:
            kind = replace(kind, steps=steps)
        workshop = kind.workshop()
        began = time.perf_counter()
        folder = out / name
        asyncio.run(make(name, folder, workshop, kind, seed))
        minutes = (time.perf_counter() - began) / 60
        unseen = list(islice(workshop.task.problems("validation"), problems))
        marks = asyncio.run(
            examine(folder, workshop.task.judge, unseen, workshop.prompt, workshop.direct)
        )
        text = card(
            name, workshop.task.name, kind.layers, kind.steps, kind.direct > 0, marks, minutes
        )
        (folder / "README.md").write_text(text, encoding="utf-8")
        console.print(f"{folder}: {marks}, made in {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
