"""GSM8K through the whole pipeline, with no model: reference chains, and recorded solutions.

Reads train.jsonl and model-solutions.jsonl in the folder given with --data, or where CALLSMITH_DATA
points. Says how many annotations are executed to the recorded value, how many verdicts are right,
and why the others are not.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from callsmith.chain import Call, Chain, Problem, Result, Verdict
from callsmith.configs import RolloutConfig
from callsmith.errors import CallsmithError
from callsmith.functions import format_call
from callsmith.jsonl import read_jsonl
from callsmith.workspace import Workspace
from callsmith_math.annotations import read_annotations, recorded_script
from callsmith_math.gsm8k import GSM8K

Records = Sequence[tuple[Chain, Verdict]]
console = Console()


@click.command(help=__doc__)
@click.option("--data", help="The folder with the GSM8K files.")
@click.option("--list", "listed", is_flag=True, help="Name every problem and annotation by cause.")
def main(data: str | None, listed: bool) -> None:
    options = {"data": data} if data else {}
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(home)
        try:
            files = GSM8K(**options).files
            if "train" in files:
                records, seconds = teach(workspace, options, "train", "reference")
                show_reference(records, seconds, listed)
            else:
                console.print("skipped: the reference chains, which need train.jsonl")
            if "solutions" in files:
                model = f"gsm8k-solutions:{files['solutions']}"
                records, seconds = teach(workspace, options, "solutions", model, attempts=4)
                show_solutions(records, read_recorded(files["solutions"]), seconds, listed)
            else:
                console.print("skipped: the recorded solutions, which need model-solutions.jsonl")
        except CallsmithError as error:
            console.print(f"skipped: {error}")


def read_recorded(path: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Each solution and its ``is_correct``, by the problem's key and the model's name."""
    return {
        (Problem(row["question"]).key, model): value
        for _, row in read_jsonl(path)
        for model, value in row.items()
        if isinstance(value, dict)
    }


def teach(
    workspace: Workspace, options: Mapping[str, Any], split: str, model: str, attempts: int = 1
) -> tuple[Records, float]:
    """The records of a run, and the seconds that making and storing them took."""
    config = RolloutConfig(
        task="gsm8k",
        task_options=options,
        split=split,
        model=model,
        attempts=attempts,
        run=split,
        shots=0,
    )
    began = time.perf_counter()
    report = workspace.teach(config)
    seconds = time.perf_counter() - began
    with workspace.store() as store:
        return list(store.records(report.run)), seconds


def show_reference(records: Records, seconds: float, listed: bool) -> None:
    marks = sum(len(read_annotations(_solution(chain))) for chain, _ in records)
    executed, agreed, differing = compare(chain for chain, _ in records)
    annotated = sum(bool(chain.steps and chain.calls) for chain, _ in records)
    causes: dict[str, list[str]] = defaultdict(list)
    for chain, verdict in records:
        if not verdict.correct:
            causes[cause(chain, verdict)].append(f"{chain.problem.id}: {verdict.reason}")
    correct = sum(verdict.correct for _, verdict in records)

    table = Table("GSM8K train, reference chains", "", title_justify="left")
    table.add_row("problems", f"{len(records):,}")
    table.add_row("seconds, stored", f"{seconds:.1f}")
    table.add_row("annotations", f"{marks:,}")
    table.add_row("executed", f"{executed:,}")
    table.add_row("agreeing with the recorded value", f"{agreed:,}")
    table.add_row("annotated problems", f"{annotated:,}")
    table.add_row("correct", f"{correct:,} ({correct / annotated:.1%} of the annotated)")
    for reason, problems in sorted(causes.items(), key=lambda item: -len(item[1])):
        table.add_row(f"  not: {reason}", f"{len(problems):,}")
    console.print(table)
    if listed:
        show_list({"annotations that differ": differing, **causes})


def show_solutions(
    records: Records,
    recorded: Mapping[tuple[str, str], Mapping[str, Any]],
    seconds: float,
    listed: bool,
) -> None:
    marks = same = 0
    left_out: list[str] = []
    not_reached: list[str] = []
    for chain, verdict in records:
        model = chain.steps[0].model
        entry = recorded[chain.problem.key, model]
        script = recorded_script(entry["solution"])
        same += verdict.correct == entry["is_correct"]
        marks += len(read_annotations(entry["solution"]))
        where = f"{chain.problem.id}, {model}"
        left_out += [f"{where}: {annotation.text}" for annotation in script.left_out]
        not_reached += [
            f"{where}: {call.name} to {call.expected}"
            for call in script.calls[len(chain.calls) :]
            if call.expected is not None
        ]
    _, agreed, differing = compare(chain for chain, _ in records)
    others = {
        "executed to another value": differing,
        "no computation with numbers": left_out,
        "after a limit: the same call for the third time": not_reached,
    }

    table = Table("GSM8K, recorded solutions of four language models", "")
    table.add_row("chains", f"{len(records):,}")
    table.add_row("seconds, stored", f"{seconds:.1f}")
    table.add_row("verdicts equal to the recorded ones", f"{same:,}")
    table.add_row("annotations", f"{marks:,}")
    table.add_row("executed to the recorded value", f"{agreed:,} ({agreed / marks:.2%})")
    for reason, found in others.items():
        table.add_row(f"  not: {reason}", f"{len(found):,}")
    console.print(table)
    if listed:
        show_list(others)


def compare(chains: Iterable[Chain]) -> tuple[int, int, list[str]]:
    """How many calls had a recorded value, how many gave it, and those that didn't in words."""
    executed = 0
    differing: list[str] = []
    for chain in chains:
        for call, result in zip(chain.calls, chain.results, strict=True):
            if call.expected is not None:
                executed += 1
                if result.fault or result.note:
                    where = f"{chain.problem.id}, {chain.steps[0].model or 'reference'}"
                    differing.append(f"{where}: {_difference(call, result)}")
    return executed, executed - len(differing), differing


def cause(chain: Chain, verdict: Verdict) -> str:
    """Why a reference chain does not end with the gold answer."""
    lines = _solution(chain).splitlines()[:-1]  # the last one is the answer's
    if not chain.calls:
        return "the solution has no annotation"
    if "earlier call" in verdict.reason:
        return "an earlier call gives the answer"
    if "<<" not in lines[-1]:
        return "the last step is written without an annotation"
    if round(chain.answer * 100) == chain.problem.gold:
        return "dollars or shares, where cents or percent are asked for"
    if abs(chain.answer - chain.problem.gold) < 1:
        return "the last annotation is not rounded"
    return "the last annotation is not the answer"


def show_list(groups: Mapping[str, Sequence[str]]) -> None:
    for title, items in groups.items():
        console.print(f"\n[bold]{escape(title)}[/] ({len(items)})")
        for item in items:
            console.print(f"  {escape(item)}", soft_wrap=True, highlight=False)


def _difference(call: Call, result: Result) -> str:
    given = result.fault.message if result.fault else f"{result.value}, {result.note}"
    return f"{format_call(call)} gives {given}"


def _solution(chain: Chain) -> str:
    return str(chain.problem.meta["solution"])


if __name__ == "__main__":
    main()
