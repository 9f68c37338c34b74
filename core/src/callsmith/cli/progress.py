"""What a person watches while chains are made and models are trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
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
from callsmith.evaluation import wilson
from callsmith.patience import Tally
from callsmith.recording import OnRecord

MINUTE = 60.0
"""Seconds between two lines of progress in a log."""


class _Shown:
    """Shows a rollout; each of its notices once."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._noticed = 0
        self._said = 0.0

    def __call__(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        for notice in tally.notices[self._noticed :]:
            self._notice(notice)
        self._noticed = len(tally.notices)
        self._show(tally, batch)

    def _notice(self, notice: str) -> None:
        errors.print(f"[yellow]{escape(notice)}[/]", soft_wrap=True)

    def _show(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        raise NotImplementedError


class RolloutProgress(_Shown):
    """A bar over the chains owed, and below it what is known of them so far."""

    def __init__(self, progress: Progress, label: str) -> None:
        super().__init__(label)
        self._progress = progress
        self._task = progress.add_task(escape(label), total=None, facts="")

    def _show(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        self._progress.update(
            self._task,
            total=tally.owed,
            completed=tally.done,
            facts=" · ".join(rollout_facts(tally)),
        )


def rollout_facts(tally: Tally) -> Iterator[str]:
    """What a person wants to know of a rollout under way, in markup."""
    rate = tally.done / tally.seconds if tally.seconds else 0.0
    if tally.done:
        low, high = wilson(tally.correct / tally.done, tally.done)
        share = f"{100 * tally.correct / tally.done:.0f}% correct"
        yield f"[green]{share}[/] [dim]({100 * low:.0f}–{100 * high:.0f})[/]"
        yield f"{rate:.0f} chains/s" if rate >= 10 else f"{rate:.1f} chains/s"
    if tally.tokens:
        yield f"{tally.tokens / tally.seconds:,.0f} tokens/s"
    yield f"{tally.in_flight} in flight"
    if tally.allowed and tally.allowed < tally.in_flight:
        yield f"[yellow]{tally.allowed} requests at a time[/]"
    if tally.settled:
        yield f"{tally.settled:,} problems settled"
    if tally.faults:
        yield f"[yellow]faults: {counts(dict(tally.faults))}[/]"
    if tally.retries:
        yield f"[red]{tally.retries:,} retries[/]"
    if tally.waiting:
        yield f"[red]{tally.waiting} waiting: {escape(tally.trouble)}[/]"


class RolloutLines(_Shown):
    """The same where there is no terminal: a line each minute, for a log."""

    def _show(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        if tally.seconds - self._said < MINUTE:
            return
        self._said = tally.seconds
        facts = [f"{tally.done:,} of {tally.owed:,} chains", *rollout_facts(tally)]
        if tally.done:
            seconds = tally.seconds * (tally.owed - tally.done) / tally.done
            facts.append(f"{timedelta(seconds=round(seconds))} left")
        errors.print(f"{escape(self._label)}: {' · '.join(facts)}", soft_wrap=True)


class RolloutEvents(_Shown):
    """The same for programs: a JSON object in a line, at most one a second, and the last."""

    def _notice(self, notice: str) -> None:
        self._say("notice", message=notice)

    def _show(self, tally: Tally, batch: Sequence[tuple[Chain, Verdict]]) -> None:
        ended = tally.done == tally.owed
        if not (batch and ended) and tally.seconds - self._said < 1:
            return
        self._said = tally.seconds
        rate = tally.done / tally.seconds
        share = tally.correct / tally.done if tally.done else None
        self._say(
            "progress",
            done=tally.done,
            owed=tally.owed,
            correct=share,
            interval=None if share is None else wilson(share, tally.done),
            chains_per_second=round(rate, 3),
            tokens_per_second=round(tally.tokens / tally.seconds, 1),
            in_flight=tally.in_flight,
            requests_allowed=tally.allowed or None,
            settled=tally.settled,
            retries=tally.retries,
            waiting=tally.waiting,
            trouble=tally.trouble if tally.waiting else "",
            faults=dict(tally.faults),
            seconds=round(tally.seconds, 1),
            seconds_left=round((tally.owed - tally.done) / rate, 1) if rate else None,
        )

    def _say(self, event: str, **facts: Any) -> None:
        line = {"event": event, "run": self._label, **facts}
        click.echo(json.dumps(line, ensure_ascii=False), err=True)


@contextmanager
def rollout_progress(label: str, as_json: bool = False) -> Iterator[OnRecord]:
    """Show a rollout, on standard error so that pipes stay clean: a bar, lines, or JSON."""
    if as_json:
        yield RolloutEvents(label)
    elif not errors.is_terminal:
        yield RolloutLines(label)
    else:
        with _bar() as progress:
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


@contextmanager
def check_progress(label: str, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show what a conformance kit tries."""
    with _bar(quiet) as progress:
        bar = progress.add_task(escape(label), total=None, facts="")

        def on_check(what: str, done: int, total: int) -> None:
            progress.update(bar, total=total or None, completed=done, facts=escape(what))

        yield on_check


class _Bar(Progress):
    """A bar with its facts in a line of their own, where there is room for them."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            if task.fields["facts"]:
                yield Text.from_markup(f"  {task.fields['facts']}", overflow="ellipsis")


def _bar(quiet: bool = False) -> Progress:
    return _Bar(
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=errors,
        disable=quiet or not errors.is_terminal,
        transient=True,
    )
