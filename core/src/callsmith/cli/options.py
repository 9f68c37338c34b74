"""The options that shape a prompt and a run, shared by the commands that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from callsmith.evaluation import Price
from callsmith.jsonl import ANSWERS

F = TypeVar("F", bound=Callable[..., Any])


def _stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    """The options as one decorator, shown in the order given."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _read_price(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> Price | None:
    try:
        prices = [float(part) for part in value.split(",")] if value else []
    except ValueError:
        prices = [-1.0]
    if value and (len(prices) != 2 or not all(0 <= price < float("inf") for price in prices)):
        raise click.BadParameter(f"write two prices of a million tokens, as 0.4,1.6, not {value}")
    return Price(*prices) if value else None


dialect_option = click.option(
    "--dialect",
    type=click.Choice(["auto", "text", "native", "json"]),
    default="auto",
    show_default=True,
    help="How calls are written: auto is what suits the model.",
)

answer_option = click.option(
    "--answer",
    type=click.Choice(ANSWERS),
    help="How answers in the file are compared. [default: number]",
)

task_options = _stacked(
    click.option("--task", "-t", default="", metavar="NAME", help="An installed task."),
    click.option(
        "--problems", default="", metavar="FILE", help="A JSONL file of problems, as the task."
    ),
    answer_option,
    click.option(
        "--task-option",
        "-O",
        "task_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the task, such as data=FOLDER; may be repeated.",
    ),
)
"""Options that say which task."""

functions_option = click.option(
    "--functions",
    "-f",
    multiple=True,
    metavar="NAME",
    help="In place of the task's: a pack (math), a function (math.add), or a Python file of "
    "your own; may be repeated.",
)

prompt_options = _stacked(
    task_options,
    functions_option,
    click.option("--no-functions", is_flag=True, help="Offer none but answer: the control."),
    dialect_option,
    click.option("--shots", type=click.IntRange(0), help="Worked examples shown. [default: all]"),
    click.option("--forget-faults", is_flag=True, help="Failed turns are not shown again."),
)
"""Options that shape what a model is shown."""

model_options = _stacked(
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
    click.option("--pull", is_flag=True, help="Fetch the model first, where the server can."),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="A turn that takes longer is asked for again. [default: what suits the server]",
    ),
    click.option(
        "--max-retries",
        type=click.IntRange(0),
        default=16,
        show_default=True,
        help="How often a server that is away or busy is asked again: 16 is about 8 minutes.",
    ),
    click.option(
        "--price",
        metavar="IN,OUT",
        callback=_read_price,
        help="Of a million tokens read and written, to add the cost.",
    ),
)
"""Options of the model, and of the server that has it."""

sampling_options = _stacked(
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
    click.option("--stop", multiple=True, metavar="TEXT", help="Ends a turn; may be repeated."),
    click.option(
        "--extra",
        multiple=True,
        metavar="KEY=VALUE",
        help="Passed to the server by name, such as top_k=20; may be repeated.",
    ),
    click.option(
        "--constrain",
        is_flag=True,
        help="Have the server let the model write nothing but valid calls.",
    ),
)
"""Options of how a turn is sampled."""

limit_options = _stacked(
    click.option(
        "--steps",
        type=click.IntRange(1),
        default=24,
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
        help="Time of one chain for calls, at most; a turn's is --timeout.",
    ),
)
"""Options of where a chain ends without an answer."""


def rollout_options(split: str) -> Callable[[F], F]:
    """Options of a run over many problems; ``split`` is the default split."""
    return _stacked(
        click.option("--split", default=split, show_default=True),
        model_options,
        click.option("--run", default="", help="The run's name. [default: made up]"),
        click.option("--limit", "-n", type=click.IntRange(1), help="So many problems."),
        click.option("--attempts", type=click.IntRange(1), default=1, show_default=True),
        click.option(
            "--until-both",
            type=click.IntRange(1),
            metavar="K",
            help="A problem gets no more attempts once it has K correct and K incorrect chains.",
        ),
        sampling_options,
        limit_options,
        click.option(
            "--concurrency",
            "-j",
            type=click.IntRange(1),
            help="Chains in flight. [default: what suits the backend]",
        ),
        click.option(
            "--executor",
            default="local",
            show_default=True,
            help="What makes the chains: this process, or one that a plugin brings, such as ray.",
        ),
        click.option("--address", help="Where the executor's cluster is."),
        click.option(
            "--executor-option",
            "executor_options",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the executor; may be repeated.",
        ),
    )
