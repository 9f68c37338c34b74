"""What a person watches while chains are made and models are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from callsmith.chain import Chain, Verdict
from callsmith.cli.common import counts, errors
from callsmith.rollout import Tally


class RolloutProgress:
    """A bar over the chains owed, with what is known of them so far."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape(label), total=None, facts="")

    def __call__(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        rate = tally.done / tally.seconds if tally.seconds else 0.0
        facts = []
        if tally.done:
            facts.append(f"[green]{100 * tally.correct / tally.done:.0f}% correct[/]")
            facts.append(f"{rate:.0f} chains/s" if rate >= 10 else f"{rate:.1f} chains/s")
        if tally.tokens:
            facts.append(f"{tally.tokens / tally.seconds:,.0f} tokens/s")
        facts.append(f"{tally.in_flight} in flight")
        if tally.faults:
            facts.append(f"[yellow]faults: {counts(dict(tally.faults))}[/]")
        if tally.retries:
            facts.append(f"[red]{tally.retries} retries[/]")
        self._progress.update(
            self._task, total=tally.owed, completed=tally.done, facts=" · ".join(facts)
        )


@contextmanager
def rollout_progress(label: str, quiet: bool = False) -> Iterator[RolloutProgress]:
    """Show a rollout on the terminal, on standard error so that pipes stay clean."""
    with _bar(quiet) as progress:
        yield RolloutProgress(progress, label)


@contextmanager
def training_progress(label: str, quiet: bool = False) -> Iterator[_TrainingProgress]:
    """Show a training: step of steps, and the metrics of the moment."""
    with _bar(quiet) as progress:
        yield _TrainingProgress(progress, label)


class _TrainingProgress:
    SHOWN: Mapping[str, str] = {
        "loss": "loss",
        "reward_accuracy": "reward accuracy",
        "margin": "margin",
        "logp_chosen": "log p chosen",
    }

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape(label), total=None, facts="loading")

    def __call__(self, metrics: Mapping[str, float]) -> None:
        facts = [f"{name} {metrics[key]:.3f}" for key, name in self.SHOWN.items() if key in metrics]
        self._progress.update(
            self._task,
            total=metrics.get("steps"),
            completed=metrics.get("step", 0),
            facts=" · ".join(facts),
        )


def _bar(quiet: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[facts]}"),
        console=errors,
        disable=quiet or not errors.is_terminal,
        transient=True,
    )
