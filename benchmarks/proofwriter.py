"""ProofWriter's labels beside forward chaining and beside classical logic.

Reads train.json and dev.json in the folder given with --data, or where CALLSMITH_DATA points. Says
how many labels forward chaining with explicit negation gives, how many classical entailment (z3)
does, and why the others differ. Reference chains are not run here: `callsmith check-task` does it.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from callsmith.chain import Problem
from callsmith.errors import CallsmithError
from callsmith_logic import ContradictoryPremises, entails
from callsmith_logic.proofwriter import ProofWriter
from callsmith_logic.worlds import Label, Literal, Rule, World, close
from callsmith_logic.worldtasks import read_problem

CONTRADICTORY = "the text contradicts itself"
BACKWARDS = "a rule is read backwards"
CASES = "cases are told apart"
UNEXPLAINED = "none of these"
"""What classical logic does, or meets, where it differs from ProofWriter's labels: it proves all of
a contradiction, it uses contrapositives, and it knows that a statement holds or does not."""

console = Console()


@click.command(help=__doc__)
@click.option("--data", help="The folder with the ProofWriter files.")
@click.option(
    "--split", "splits", multiple=True, help="train, validation. [default: what there is]"
)
@click.option(
    "--limit", "-n", type=click.IntRange(1), help="The first problems of each split alone."
)
@click.option("--list", "listed", is_flag=True, help="Name every problem that differs, by cause.")
def main(data: str | None, splits: Sequence[str], limit: int | None, listed: bool) -> None:
    try:
        task = ProofWriter(data)
        if not task.files:
            console.print("skipped: ProofWriter's files are needed: give their folder with --data")
            return
        for split in splits or task.splits:
            problems = list(islice(task.problems(split), limit))
            show(split, problems, listed)
    except CallsmithError as error:
        console.print(f"skipped: {escape(str(error))}")


def show(split: str, problems: Sequence[Problem], listed: bool) -> None:
    """One table: how many labels agree, how long it took, and what the others are about."""
    worlds = [read_problem(problem) for problem in problems]
    began = time.process_time()
    forward = [close(world).label(goal) for world, goal in worlds]
    middle = time.process_time()
    classical = [classical_label(world, goal) for world, goal in worlds]
    ended = time.process_time()

    golds = [problem.gold for problem in problems]
    table = Table(f"ProofWriter {split}", f"{len(problems):,} problems", "seconds of CPU")
    sentences = sum(len(world.facts) + len(world.rules) + 1 for world, _ in worlds)
    table.add_row("sentences, all of them read", f"{sentences:,}", "")
    table.add_row("labels by forward chaining", _agreeing(forward, golds), f"{middle - began:.1f}")
    table.add_row(
        "labels by classical entailment (z3)", _agreeing(classical, golds), f"{ended - middle:.1f}"
    )
    causes: dict[str, list[str]] = defaultdict(list)
    for problem, (world, goal), label in zip(problems, worlds, classical, strict=True):
        if label != problem.gold:
            said = f"{problem.id}: {goal} is {label or 'anything'}, labelled {problem.gold}"
            causes[cause(world, goal, label)].append(said)
    for why, found in sorted(causes.items(), key=lambda item: -len(item[1])):
        table.add_row(f"  not: {why}", f"{len(found):,}", "")
    told = Counter(problem.gold for problem in problems)
    table.caption = ", ".join(f"{count:,} {label}" for label, count in sorted(told.items()))
    console.print(table)
    if listed:
        for why, found in causes.items():
            console.print(f"\n[bold]{escape(why)}[/] ({len(found)})")
            for line in found:
                console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)


def _agreeing(labels: Sequence[Label | None], golds: Sequence[object]) -> str:
    same = sum(label == gold for label, gold in zip(labels, golds, strict=True))
    return f"{same:,} ({same / len(golds):.1%})"


def classical_label(world: World, goal: Literal) -> Label | None:
    """What classical logic says of the goal; None if the text contradicts itself."""
    try:
        return entails([str(part) for part in (*world.facts, *world.rules)], str(goal))
    except ContradictoryPremises:
        return None


def cause(world: World, goal: Literal, classical: Label | None) -> str:
    """Why classical logic says something else of the goal than forward chaining."""
    if classical is None:
        return CONTRADICTORY
    both_ways = World(world.facts, (*world.rules, *contrapositives(world)))
    if both_ways.closure.label(goal) == classical:
        return BACKWARDS
    proven = goal if classical == "True" else -goal
    for case in _cases(world):
        if all(_holds(both_ways, assumed, proven) for assumed in (case, -case)):
            return CASES
    return UNEXPLAINED


def contrapositives(world: World) -> Iterator[Rule]:
    """Each rule read backwards: if all but one of its conditions hold, and its conclusion does not,
    then nor does that one."""
    for rule in world.rules:
        for place, condition in enumerate(rule.conditions):
            others = (*rule.conditions[:place], *rule.conditions[place + 1 :])
            yield Rule((*others, -rule.conclusion), -condition)


def _cases(world: World) -> Iterator[Literal]:
    """All that may be said of the things in the text."""
    parts = [p for rule in world.rules for p in (*rule.conditions, rule.conclusion)]
    for part in dict.fromkeys([*parts, *world.facts]):
        for thing in world.things:
            yield part.of(thing)


def _holds(world: World, assumed: Literal, goal: Literal) -> bool:
    """Whether the goal follows from the assumption, or the assumption can't be."""
    closure = World((*world.facts, assumed), world.rules).closure
    return goal in closure.hops or any(-literal in closure.hops for literal in closure.hops)


if __name__ == "__main__":
    main()
