"""The options that shape a prompt and a run, shared by the commands that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """The options as one decorator, shown in the order given."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


prompt_options = _stacked(
    click.option("--task", "-t", required=True, help="A task's name, or a JSONL file."),
    click.option(
        "--task-option",
        "-O",
        "task_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the task, such as data=FOLDER; may be repeated.",
    ),
    click.option(
        "--functions",
        "-f",
        multiple=True,
        metavar="NAME",
        help="Functions in place of the task's: math.add, math.*; may be repeated.",
    ),
    click.option("--no-functions", is_flag=True, help="Offer none but answer: the control."),
    click.option(
        "--dialect",
        type=click.Choice(["auto", "text", "native"]),
        default="auto",
        show_default=True,
        help="How calls are written.",
    ),
    click.option("--shots", type=click.IntRange(0), help="Worked examples shown. [default: all]"),
    click.option("--forget-faults", is_flag=True, help="Failed turns are not shown again."),
)
"""Options that shape what a model is shown."""

_ROLLOUT = (
    click.option(
        "--model",
        "-m",
        required=True,
        help="scheme:name, reference, or a model trained here.",
    ),
    click.option(
        "--model-option",
        "-o",
        "model_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the backend; may be repeated.",
    ),
    click.option("--run", default="", help="The run's name. [default: made up]"),
    click.option("--limit", "-n", type=click.IntRange(1), help="So many problems."),
    click.option("--attempts", type=click.IntRange(1), default=1, show_default=True),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True),
    click.option("--top-p", type=click.FloatRange(0, 1), default=1.0, show_default=True),
    click.option(
        "--max-tokens",
        type=click.IntRange(1),
        default=512,
        show_default=True,
        help="Tokens in one turn, at most.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=16,
        show_default=True,
        help="Turns in one chain, at most.",
    ),
    click.option(
        "--calls",
        type=click.IntRange(1),
        default=64,
        show_default=True,
        help="Calls in one chain, at most.",
    ),
    click.option(
        "--tokens",
        type=click.IntRange(1),
        default=16_384,
        show_default=True,
        help="Tokens that a model may write in one chain.",
    ),
    click.option(
        "--seconds",
        type=click.FloatRange(0),
        default=600.0,
        show_default=True,
        help="Time for one chain, at most.",
    ),
    click.option(
        "--concurrency",
        "-j",
        type=click.IntRange(1),
        help="Chains in flight. [default: what suits the backend]",
    ),
    click.option(
        "--max-retries",
        type=click.IntRange(0),
        default=8,
        show_default=True,
        help="How often a server that is away is asked again.",
    ),
)


def rollout_options(split: str) -> Callable[[F], F]:
    """Options of a run over many problems; ``split`` is the default split."""
    return _stacked(click.option("--split", default=split, show_default=True), *_ROLLOUT)
