"""What a conformance kit found: checks, each named by the sentence that should hold."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import TYPE_CHECKING, Literal, TypeAlias

from callsmith.errors import describe

if TYPE_CHECKING:
    from rich.table import Table

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


class Failed(Exception):
    """Raised in a check: the sentence does not hold, and the message says why."""


class Skipped(Exception):
    """Raised in a check: it can't be tried here, and the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A sentence, and whether it holds. ``why`` says what was seen, always if it did not pass."""

    name: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one ``subject``, in the order they were made. Printed, it is a table."""

    subject: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def passed(self) -> tuple[Check, ...]:
        return self._all("passed")

    @property
    def failed(self) -> tuple[Check, ...]:
        return self._all("failed")

    @property
    def skipped(self) -> tuple[Check, ...]:
        return self._all("skipped")

    def _all(self, outcome: Outcome) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.outcome == outcome)

    @property
    def summary(self) -> str:
        """``backend mine: 30 passed, 1 failed, 2 skipped``"""
        return (
            f"{self.subject}: {len(self.passed)} passed, {len(self.failed)} failed, "
            f"{len(self.skipped)} skipped"
        )

    def raise_if_failed(self) -> None:
        """Raises AssertionError with each check that failed, and why."""
        if self.failed:
            lines = [f"  {check.name}\n{indent(check.why, '    ')}" for check in self.failed]
            raise AssertionError("\n".join([self.summary, *lines]))

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.summary), title_justify="left", box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        table.add_column("check", header_style="bold")
        table.add_column("why", header_style="bold", overflow="fold")
        for check in self.checks:
            outcome = Text(check.outcome, _STYLES[check.outcome])
            table.add_row(outcome, Text(check.name), Text(check.why))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=140).print(self)
        return page.getvalue()


async def run_check(name: str, check: Callable[[], Awaitable[str | None]], seconds: float) -> Check:
    """Make one check, which may return what it saw. What hangs longer than ``seconds``, or raises,
    has failed.
    """
    task = asyncio.ensure_future(check())
    try:
        # Not `wait_for`: that would wait for ever for one that ignores being cancelled.
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            return Check(name, "failed", f"it was not over within {seconds:g} seconds")
        return make_check(name, task.result)
    finally:
        task.cancel()


def make_check(name: str, check: Callable[[], str | None]) -> Check:
    """Make one check, which may return what it saw. What raises has failed."""
    try:
        seen = check()
    except Skipped as reason:
        return Check(name, "skipped", str(reason))
    except Failed as reason:
        return Check(name, "failed", str(reason))
    except Exception as error:
        return Check(name, "failed", f"it raised {type(error).__name__}: {describe(error)}")
    return Check(name, "passed", seen or "")


def fail_if(findings: Sequence[str], most: int = 5) -> None:
    """Raises Failed with the findings, a line each, if there are any."""
    if findings:
        more = [f"and {len(findings) - most:,} more"] if len(findings) > most else []
        raise Failed("\n".join([*findings[:most], *more]))


def listed(items: Iterable[object], word: str = "and") -> str:
    """``a, b and c``"""
    *most, last = map(str, items)
    return f"{', '.join(most)} {word} {last}" if most else last
