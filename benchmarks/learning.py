"""What a tiny student learns: the recipe `tiny` or `tiny-logic` over seeds, beside its controls.

    python benchmarks/learning.py [--recipe tiny-logic] [--seeds 3] [--home FOLDER] [--json]

Each seed draws other training problems, other samples and other problems to judge on. Prints every
model's accuracy, greedy and sampled, and its difference to the student before with a 95% interval
and McNemar's test; and where problems know how many hops they take, right answers and good chains
by hops. A chain is good if its answer is right, grounded, and no call had a fault. Cut off, it goes
on when it is started again.
"""

from __future__ import annotations

import copy
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import click

from callsmith.cli.common import console, home_option, json_option, percent, print_json, table
from callsmith.cli.eval import p_value
from callsmith.cli.run import Terminal
from callsmith.pipeline import Outcome, run_recipe
from callsmith.plugins import load_registry
from callsmith.recipe import read_recipe
from callsmith.workspace import Workspace

Rows: TypeAlias = dict[str, dict[str, tuple[int, float, float]]]

SAMPLED = {"split": "test", "attempts": 4, "temperature": 1.0}


def with_sampling(recipe: dict[str, Any], seed: int) -> dict[str, Any]:
    """The recipe for one seed, every student with functions judged by samples, too."""
    changed = copy.deepcopy(recipe) | {"seed": seed}
    (greedy,) = recipe["eval"]
    students = [m for m in greedy["models"] if "functions" not in m and m["label"] != "teacher"]
    models = [{**model, "label": f"{model['label']}, sampled"} for model in students]
    baseline = f"{greedy['baseline']}, sampled"
    changed["eval"].append(
        {**SAMPLED, "limit": greedy["limit"], "baseline": baseline, "models": models}
    )
    return changed


@click.command(help=__doc__)
@click.option("--recipe", "name", default="tiny", show_default=True)
@click.option("--seeds", default=3, show_default=True)
@home_option
@json_option
def main(name: str, seeds: int, home: Path | None, as_json: bool) -> None:
    registry = load_registry()
    recipe = tomllib.loads(registry.resolve("recipes", name).read_text(encoding="utf-8"))
    home = home or Path(".callsmith-learning") / name
    outcomes: list[Outcome] = []
    by_hops: list[Rows] = []
    for seed in range(seeds):
        workspace = Workspace(home / f"seed-{seed}", registry)
        part = read_recipe(with_sampling(recipe, seed), f"{name}, seed {seed}")
        outcomes.append(run_recipe(workspace, part, Terminal(workspace.home, quiet=True)))
        by_hops.append(group_by_hops(workspace, outcomes[-1]))
    if as_json:
        print_json(
            [
                {**outcome.to_json(), "by_hops": rows}
                for outcome, rows in zip(outcomes, by_hops, strict=True)
            ]
        )
        return
    show(outcomes)
    for seed, rows in enumerate(by_hops):
        if rows:
            show_hops(seed, rows)


def group_by_hops(workspace: Workspace, outcome: Outcome) -> Rows:
    """Of each model judged greedily, by hops: problems, right answers and good chains."""
    found: Rows = {}
    with workspace.store() as store:
        for judged in outcome.recipe.eval:
            groups: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
            for chain, verdict in store.records(store.run(judged.name)):
                if judged.attempts > 1 or "hops" not in chain.problem.meta:
                    break
                unknown = chain.problem.gold == "Unknown"
                hops = "Unknown" if unknown else str(chain.problem.meta["hops"])
                good = verdict.correct and verdict.grounded and not chain.faults
                groups[hops].append((verdict.correct, good))
            for hops, made in sorted(groups.items()):
                right, good = (fmean(values) for values in zip(*made, strict=True))
                found.setdefault(judged.label, {})[hops] = (len(made), right, good)
    return found


def show_hops(seed: int, rows: Rows) -> None:
    """A line for each model, a column for each number of hops: right answers / good chains."""
    hops = list(next(iter(rows.values())).items())
    columns = [f"{name} (n={n})" for name, (n, _, _) in hops]
    shown = table("right / good", *columns, right=columns, title=f"by hops, seed {seed}")
    for label, groups in rows.items():
        shares = [f"{100 * right:.0f} / {100 * good:.0f}" for _, right, good in groups.values()]
        shown.add_row(label, *shares)
    console.print(shown)


def show(outcomes: list[Outcome]) -> None:
    numbers = ("seed", "n", "accuracy", "difference")
    shown = table(
        "model", "seed", "n", "accuracy", "difference", "95% interval", "p", right=numbers
    )
    for label in outcomes[0].evaluations:
        for seed, outcome in enumerate(outcomes):
            found = outcome.evaluations[label]
            row = [label, str(seed), str(found.problems), percent(found.accuracy)]
            if comparison := outcome.comparisons.get(label):
                low, high = comparison.interval
                p = comparison.mcnemar_p if found.attempts == 1 else comparison.wilcoxon_p
                row += [
                    f"{comparison.difference:+.1f}",
                    f"{low:+.1f} to {high:+.1f}",
                    p_value(p) if p is not None else "",
                ]
            shown.add_row(*row)
    console.print(shown)


if __name__ == "__main__":
    main()
