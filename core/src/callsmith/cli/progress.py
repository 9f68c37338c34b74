"""What a person watches while chains are made and models are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from callsmith.backends import OnPull
from callsmith.chain import Chain, Step, Verdict
from callsmith.cli.chains import show_step
from callsmith.cli.common import console, counts, errors, visible
from callsmith.rollout import Tally


class RolloutProgress:
    """A bar over the chains owed, with what is known of them so far."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape(label), total=None, facts="")
        self._noticed = 0

    def __call__(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        for notice in tally.notices[self._noticed :]:
            errors.print(f"[yellow]{escape(notice)}[/]", soft_wrap=True)
        self._noticed = len(tally.notices)
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
        if tally.waiting:
            facts.append(f"[red]{tally.waiting} waiting: {escape(tally.trouble)}[/]")
        self._progress.update(
            self._task, total=tally.owed, completed=tally.done, facts=" · ".join(facts)
        )


@contextmanager
def rollout_progress(label: str, quiet: bool = False) -> Iterator[RolloutProgress]:
    """Show a rollout on the terminal, on standard error so that pipes stay clean."""
    with _bar(quiet) as progress:
        yield RolloutProgress(progress, label)


@contextmanager
def pull_progress(wanted: bool, quiet: bool = False) -> Iterator[OnPull | None]:
    """Show a model being fetched; None if that is not wanted."""
    if not wanted:
        yield None
        return
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=errors, disable=quiet, transient=True
    ) as progress:
        bar = progress.add_task("", total=None)

        def on_pull(what: str, done: int, total: int) -> None:
            progress.update(bar, description=escape(what), completed=done, total=total or None)

        yield on_pull


def say_ready(chosen: str) -> None:
    """What was chosen for the user, before the first problem."""
    if chosen:
        errors.print(f"[dim]{escape(chosen)}[/]")


class Turns:
    """The turns of one chain as they are made; on a terminal also the one that is being written."""

    def __init__(self, quiet: bool = False) -> None:
        self.is_live = console.is_terminal and not quiet
        self._quiet = quiet
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self.written = ""
        self._count = 0

    def __enter__(self) -> Turns:
        if self.is_live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def write(self, piece: str) -> None:
        """A piece of the model's text; an empty one where the turn is written anew."""
        self.written = self.written + piece if piece else ""
        # The end is what moves: a long turn must not fill the screen.
        shown = visible(self.written)[-500:]
        self._live.update(Text(shown, style="dim"), refresh=True)

    def add(self, step: Step) -> None:
        """A turn that has been made, with the results of its calls."""
        self.written = ""
        self._count += 1
        if not self._quiet:
            self._live.update("", refresh=self.is_live)
            console.print(show_step(step, self._count))


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
