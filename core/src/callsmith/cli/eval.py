from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from callsmith.cli.common import (
    cell,
    console,
    counts,
    home_option,
    is_narrow,
    json_option,
    percent,
    print_json,
    read_settings,
    say_next,
    table,
    tokens,
)
from callsmith.cli.options import prompt_options, rollout_options
from callsmith.cli.progress import pull_progress, rollout_progress, say_ready
from callsmith.configs import RolloutConfig
from callsmith.evaluation import Comparison, Evaluation, Price, compare
from callsmith.workspace import Workspace


@click.command("eval")
@prompt_options
@rollout_options("test")
@click.option(
    "--against",
    "-a",
    multiple=True,
    metavar="MODEL",
    help="Another model on the same problems, the first one's baseline; may be repeated.",
)
@click.option(
    "--and-without-functions", is_flag=True, help="The same model without functions, beside it."
)
@click.option(
    "--and-unconstrained",
    is_flag=True,
    help="With --constrain: the same model free to write what it likes, beside it.",
)
@home_option
@json_option
def eval_command(
    against: tuple[str, ...],
    and_without_functions: bool,
    and_unconstrained: bool,
    home: Path | None,
    as_json: bool,
    pull: bool,
    price: Price | None,
    **settings: Any,
) -> None:
    """Measure a model on problems it has not seen.

    \b
    Examples:
      callsmith eval -t wordproblems -m tiny:teacher -n 300
      callsmith eval -t wordproblems -m dpo --against tiny:student -n 300
      callsmith eval -t wordproblems -m tiny:student --attempts 8 --temperature 1 -n 100
      callsmith eval -t gsm8k -m ollama:llama3.1 --constrain --and-unconstrained -n 300
    """
    config = RolloutConfig(**read_settings(settings))
    if not config.task:
        raise click.UsageError("say which problems: --task NAME, or --problems FILE")
    workspace = Workspace(home)
    wanted, unconstrained = {config.model: config}, f"{config.model} unconstrained"
    if and_without_functions:
        wanted[f"{config.model} without functions"] = replace(config, functions=(), run="")
    if and_unconstrained:
        if not config.constrain:
            raise click.UsageError("--and-unconstrained is a control of --constrain: give both")
        wanted[unconstrained] = replace(config, constrain=False, run=f"{config.name}-free")
    wanted |= {model: _instead(config, model) for model in against}
    for part in wanted.values():
        workspace.check_model(part.model)  # before hours have gone into another
    measured: dict[str, Evaluation] = {}
    for label, part in wanted.items():
        if label == unconstrained:
            # In the dialect that auto chose for the other, so that only the constraint differs.
            with workspace.store() as store:
                part = replace(part, dialect=store.run(config.name).identity["dialect"])
        with (
            pull_progress(pull, as_json) as on_pull,
            rollout_progress(part.name, as_json) as progress,
        ):
            measured[label] = workspace.evaluate(part, progress, say_ready, on_pull)
    compared = {
        label: compare(other, measured[config.model])
        for label, other in measured.items()
        if label != config.model
    }
    if as_json:
        print_json(
            {
                "models": {label: found.to_json() for label, found in measured.items()},
                "comparisons": {label: found.to_json() for label, found in compared.items()},
            }
        )
        return
    show_evaluations(measured, f"{config.task} / {config.split}")
    for label, found in measured.items():
        if price:
            console.print(f"  {escape(label)}: {tokens(found.usage, price)}")
    for label, comparison in compared.items():
        show_comparison(f"{config.model} against {label}", comparison)
    if free := measured.get(unconstrained):
        held = measured[config.model]
        console.print(
            f"turns with a fault: {percent(free.fault_rate)} unconstrained, "
            f"{percent(held.fault_rate)} constrained"
        )
    say_next(f"callsmith show {config.name}", "shows its chains")


def _instead(config: RolloutConfig, model: str) -> RolloutConfig:
    """The same with another model; a backend's options are for models of its scheme."""
    scheme = config.model.partition(":")[0]
    options = config.model_options if model.partition(":")[0] == scheme else {}
    return replace(config, model=model, model_options=options, run="")


def show_evaluations(measured: dict[str, Evaluation], title: str) -> None:
    """Models side by side on the same problems."""
    columns = ["n", "accuracy", "95% interval", "grounded", "faults", "calls"]
    if not is_narrow():
        columns += ["guessed", "tokens", "seconds"]
    shown = table("model", *columns, title=title, right=columns)
    for label, found in measured.items():
        low, high = found.interval
        facts = {
            "n": f"{found.problems:,}" + (f" × {found.attempts}" if found.attempts > 1 else ""),
            "accuracy": f"[bold]{percent(found.accuracy)}[/]",
            "95% interval": f"{percent(low)} – {percent(high)}",
            "grounded": percent(found.grounded),
            "faults": percent(found.fault_rate),
            "calls": f"{found.calls:.1f}",
            "guessed": percent(found.guessed),
            "tokens": f"{found.tokens:,.0f}",
            "seconds": f"{found.seconds:.2f}",
        }
        shown.add_row(cell(label), *(facts[column] for column in columns))
    console.print(shown)
    for label, found in measured.items():
        if found.attempts > 1:
            shares = ", ".join(f"pass@{k} {percent(v)}" for k, v in found.pass_at.items())
            console.print(f"  [dim]{escape(label)}: {shares}[/]")
        if found.faults:
            console.print(f"  [dim]{escape(label)}: faults: {counts(found.faults)}[/]")


def show_comparison(label: str, comparison: Comparison) -> None:
    """One line: the difference, its interval, and whether chance explains it."""
    console.print(f"{escape(label)}: {describe_comparison(comparison)}")
    if comparison.note:
        console.print(f"  [yellow]{comparison.note}[/]")


def describe_comparison(comparison: Comparison) -> str:
    low, high = comparison.interval
    style = "green" if low > 0 else "red" if high < 0 else "default"
    text = (
        f"[{style}]{comparison.difference:+.1f} points[/] ({low:+.1f} to {high:+.1f}), "
        f"better on {comparison.better}, worse on {comparison.worse}, "
        f"McNemar {p_value(comparison.mcnemar_p)}"
    )
    if comparison.wilcoxon_p is not None:
        text += f", Wilcoxon {p_value(comparison.wilcoxon_p)}"
    return text


def p_value(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"
