"""What the tiny student learns: the recipe `tiny` over several seeds, beside its controls.

    python benchmarks/learning.py [--seeds 3] [--home FOLDER] [--json]

Each seed draws other training problems, other samples and other problems to judge on. Prints every
model's accuracy, greedy and sampled, and its difference to the student before with a 95% interval
and McNemar's test. Cut off, it goes on when it is started again.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import click

from callsmith.cli.common import console, home_option, json_option, percent, print_json, table
from callsmith.cli.eval import p_value
from callsmith.cli.run import Terminal
from callsmith.pipeline import Outcome, run_recipe
from callsmith.plugins import load_registry
from callsmith.recipe import read_recipe
from callsmith.workspace import Workspace

SAMPLED = {"split": "test", "limit": 400, "attempts": 4, "temperature": 1.0}
JUDGED = {
    "before": "tiny:student",
    "DPO": "dpo",
    "SFT, equal steps": "sft-equal-steps",
    "SFT, equal compute": "sft-equal-compute",
    "SFT, then DPO": "sft-then-dpo",
}


def with_sampling(recipe: dict[str, Any], seed: int) -> dict[str, Any]:
    """The recipe for one seed, every student judged by samples as well as greedily."""
    changed = copy.deepcopy(recipe) | {"seed": seed}
    models = [{"label": f"{label}, sampled", "model": model} for label, model in JUDGED.items()]
    changed["eval"].append({**SAMPLED, "baseline": "before, sampled", "models": models})
    return changed


@click.command(help=__doc__)
@click.option("--seeds", default=3, show_default=True)
@home_option
@json_option
def main(seeds: int, home: Path | None, as_json: bool) -> None:
    registry = load_registry()
    recipe = tomllib.loads(registry.resolve("recipes", "tiny").read_text(encoding="utf-8"))
    outcomes: list[Outcome] = []
    for seed in range(seeds):
        workspace = Workspace((home or Path(".callsmith-learning")) / f"seed-{seed}", registry)
        part = read_recipe(with_sampling(recipe, seed), f"tiny, seed {seed}")
        outcomes.append(run_recipe(workspace, part, Terminal(quiet=True)))
    if as_json:
        print_json([outcome.to_json() for outcome in outcomes])
        return
    show(outcomes)


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
