"""What a tiny model learns of logic: with functions and without, at equal training time.

    python benchmarks/learning_logic.py --data FOLDER [--seeds 3] [--part NAME]

Part `deduction`: trained on generated problems of `deduction`, judged on its test split and on the
ProntoQA problems in FOLDER, of which it saw none. Part `proofwriter`: trained on ProofWriter's
train problems, their words drawn anew each time, and judged on dev. Each part trains one model
with functions and one without for as much CPU time, in each seed. A chain is good if its answer is
right, no call had a fault, and the chain's own look-ups and steps show the answer. A model that is
there already is not trained again.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import click

from callsmith.agent import Limits, solve
from callsmith.chain import Chain, Problem, Sampling, Verdict
from callsmith.cli.common import console, json_option, percent, print_json, table
from callsmith.dialects import Prompt
from callsmith.evaluation import Evaluation, compare, evaluate
from callsmith.isolation import Workers
from callsmith.tasks import BaseTask
from callsmith_logic.deduction import Deduction
from callsmith_logic.prontoqa import ProntoQA
from callsmith_logic.proofwriter import ProofWriter
from callsmith_logic.stories import NAMES, PROPERTIES
from callsmith_tiny.logic_workshop import (
    PROOFWRITER_NAMES,
    PROOFWRITER_PROPERTIES,
    WARM_UP,
    open_logic_workshop,
)
from callsmith_tiny.make import KINDS, Kind, make
from callsmith_tiny.workshop import Workshop

STEPS = {"deduction": 3_000, "proofwriter": 400}
POOLS = (
    tuple(dict.fromkeys((*PROPERTIES, *PROOFWRITER_PROPERTIES))),
    tuple(dict.fromkeys((*NAMES, *PROOFWRITER_NAMES))),
)
"""Words that may stand for each other."""

TRIAL = 60
"""Steps of a model without functions that tell how many take as long as one with functions."""

LIMITS = Limits(steps=40)
SAMPLING = Sampling(temperature=0.0, max_tokens=64)


@dataclass(frozen=True, slots=True)
class Part:
    """What is trained on, and judged on: tasks with problems, by name."""

    name: str
    workshop: Workshop
    judged: Mapping[str, tuple[BaseTask, Sequence[Problem]]]


def deduction_part(data: Path, limit: int) -> Part:
    workshop = open_logic_workshop()
    task = Deduction(size=limit)
    judged: dict[str, tuple[BaseTask, Sequence[Problem]]] = {
        "deduction": (task, list(task.problems("test")))
    }
    pronto = ProntoQA(data=str(data))
    judged["prontoqa"] = (pronto, list(pronto.problems("validation")))
    return Part("deduction", workshop, judged)


def proofwriter_part(data: Path, limit: int) -> Part:
    task = ProofWriter(data=str(data))
    train = list(task.problems("train"))
    workshop = replace(open_logic_workshop(), task=task, problems=partial(renamed, train))
    return Part("proofwriter", workshop, {"proofwriter": (task, list(task.problems("validation")))})


PARTS = {"deduction": deduction_part, "proofwriter": proofwriter_part}


def renamed(problems: Sequence[Problem], seed: int) -> Iterator[Problem]:
    """The problems over and over, with other names and properties each time."""
    dice = Random(seed)
    while True:
        for problem in dice.sample(problems, len(problems)):
            new: dict[str, str] = {}
            for pool in POOLS:
                for old, other in zip(pool, dice.sample(pool, len(pool)), strict=True):
                    new |= {old: other, old.capitalize(): other.capitalize()}
            swap = partial(re.sub, r"[A-Za-z]+", lambda found, new=new: new.get(found[0], found[0]))
            yield replace(problem, question=swap(problem.question), context=swap(problem.context))


# ---- training -----------------------------------------------------------------------------------


def trained(part: Part, home: Path, seed: int, steps: int) -> dict[str, Path]:
    """The folders of the model with functions and of the one without, made if need be."""
    folders = {way: home / f"{part.name}-{way}-{seed}" for way in ("functions", "none")}
    plain = replace(KINDS["logic-teacher"], steps=steps)
    for way, folder in folders.items():
        if (folder / "seconds.json").exists():
            continue
        kind = plain
        if way == "none":
            kind = replace(kind, direct=1.0, steps=TRIAL)
            later = replace(part.workshop, problems=partial(after_warm_up, part.workshop.problems))
            spent = train(replace(part, workshop=later), home / "trial", seed, kind)
            shutil.rmtree(home / "trial")
            budget = json.loads((folders["functions"] / "seconds.json").read_text())["seconds"]
            kind = replace(kind, steps=max(TRIAL, round(TRIAL * budget / spent)))
        spent = train(part, folder, seed, kind)
        (folder / "seconds.json").write_text(json.dumps({"seconds": spent, "steps": kind.steps}))
    return folders


def after_warm_up(problems: Callable[[int], Iterator[Problem]], seed: int) -> Iterator[Problem]:
    """Without the short ones that come first, which would make a step look cheaper than it is."""
    return islice(problems(seed), WARM_UP, None)


def train(part: Part, folder: Path, seed: int, kind: Kind) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(make(folder.name, folder, part.workshop, kind, seed))


# ---- judging ------------------------------------------------------------------------------------


def good(chain: Chain, verdict: Verdict) -> bool:
    """Whether the answer is right, shown by the chain's own calls, and reached without a fault."""
    return verdict.correct and verdict.grounded and not chain.faults


async def solved(folder: Path, prompt: Prompt, problems: Sequence[Problem]) -> list[Chain]:
    from callsmith_transformers.backend import open_backend

    backend = open_backend(str(folder))
    async with Workers() as workers:
        chains = await asyncio.gather(
            *(
                solve(p, backend, prompt, workers, sampling=SAMPLING, limits=LIMITS)
                for p in problems
            )
        )
    await backend.close()
    return chains


def judged(part: Part, folders: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """For each set of problems what became of each: its hops, answers and chains right or not."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (task, problems) in part.judged.items():
        rows = [{"hops": p.meta.get("hops"), "gold": str(p.gold)} for p in problems]
        for way, folder in folders.items():
            prompt = part.workshop.prompt if way == "functions" else part.workshop.direct
            chains = asyncio.run(solved(folder, prompt, problems))
            for row, problem, chain in zip(rows, problems, chains, strict=True):
                verdict = task.judge(problem, chain)
                row[way] = verdict.correct
                row[f"{way}: good"] = good(chain, verdict)
                row["key"] = problem.key
        found[name] = rows
    return found


def evaluation(rows: Sequence[Mapping[str, Any]], column: str) -> Evaluation:
    records = [
        (Chain(Problem(row["key"]), stop="answer"), Verdict(bool(row[column]))) for row in rows
    ]
    return evaluate(records)


# ---- showing ------------------------------------------------------------------------------------

COLUMNS = ("functions", "functions: good", "none")


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path, exists=True), envvar="CALLSMITH_DATA")
@click.option("--home", type=click.Path(path_type=Path), default=Path(".callsmith-learning-logic"))
@click.option("--seeds", default=3, show_default=True)
@click.option("--seed", "only", type=int, multiple=True, help="These seeds alone.")
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, default=list(PARTS))
@click.option("--steps", type=int, help="Fewer steps of training, to see that it works.")
@click.option("--problems", default=600, help="How many problems of deduction to judge on.")
@json_option
def main(
    data: Path | None,
    home: Path,
    seeds: int,
    only: tuple[int, ...],
    parts: tuple[str, ...],
    steps: int | None,
    problems: int,
    as_json: bool,
) -> None:
    if data is None:
        console.print("skipped: the problems of ProntoQA and ProofWriter need --data")
        return
    results: dict[str, dict[str, Any]] = defaultdict(dict)
    for name in parts:
        part = PARTS[name](data, problems)
        for seed in only or range(seeds):
            folders = trained(part, home, seed, steps or STEPS[name])
            for judged_on, rows in judged(part, folders).items():
                results[judged_on][str(seed)] = rows
                if not as_json:
                    show(judged_on, seed, rows)
            spent = {
                way: json.loads((f / "seconds.json").read_text()) for way, f in folders.items()
            }
            results["training"][f"{name} {seed}"] = spent
            console.print(f"trained for: {spent}", highlight=False)
    if as_json:
        print_json(results)


def show(name: str, seed: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table by label and number of hops, and the difference that the functions make."""
    shown = table("", "n", *COLUMNS, right=("n", *COLUMNS), title=f"{name}, seed {seed}")
    groups: dict[str, list[Mapping[str, Any]]] = {"all": list(rows)}
    for row in sorted(rows, key=lambda row: (row["gold"] == "Unknown", row["hops"] or 0)):
        label = "Unknown" if row["gold"] == "Unknown" else f"{row['hops']} hops"
        groups.setdefault(label, []).append(row)
    for label, group in groups.items():
        shares = [percent(sum(row[column] for row in group) / len(group)) for column in COLUMNS]
        shown.add_row(label, str(len(group)), *shares)
    console.print(shown)
    for column in COLUMNS:
        found = evaluation(rows, column)
        low, high = found.interval
        console.print(f"{column}: {percent(found.accuracy)} ({percent(low)} to {percent(high)})")
    difference = compare(evaluation(rows, "none"), evaluation(rows, "functions"))
    low, high = difference.interval
    console.print(
        f"functions against none: {difference.difference:+.1f} ({low:+.1f} to {high:+.1f}), "
        f"McNemar's p {difference.mcnemar_p:.2g}"
    )


if __name__ == "__main__":
    main()
