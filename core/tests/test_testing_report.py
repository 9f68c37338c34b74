from __future__ import annotations

import asyncio

import pytest

from callsmith.testing import Check, Report
from callsmith.testing.report import Failed, Skipped, run_check

REPORT = Report(
    "backend mine",
    (
        Check("it answers", "passed"),
        Check("it stops [when told]", "failed", "it went on"),
        Check("it streams", "skipped", "nobody watched"),
    ),
)


def test_a_report_is_a_table_of_sentences_with_what_was_seen() -> None:
    lines = [" ".join(line.split()) for line in str(REPORT).splitlines()]
    assert lines[0] == "backend mine: 1 passed, 1 failed, 1 skipped"
    assert "failed it stops [when told] it went on" in lines
    assert "skipped it streams nobody watched" in lines


def test_only_what_failed_is_raised() -> None:
    with pytest.raises(AssertionError, match=r"it stops \[when told\]\n +it went on") as raised:
        REPORT.raise_if_failed()
    assert "streams" not in str(raised.value)
    Report("backend mine", (REPORT.checks[0], REPORT.checks[2])).raise_if_failed()


async def test_a_check_passes_fails_or_is_skipped_and_says_why() -> None:
    async def fails() -> None:
        raise Failed("it is blue")

    async def skips() -> None:
        raise Skipped("it is dark")

    async def breaks() -> None:
        raise KeyError("colour")

    async def passes() -> None: ...

    made = [await run_check("it is red", check, 60) for check in (fails, skips, breaks, passes)]
    assert [(check.outcome, check.why) for check in made] == [
        ("failed", "it is blue"),
        ("skipped", "it is dark"),
        ("failed", "it raised KeyError: 'colour'"),
        ("passed", ""),
    ]


async def test_a_check_that_hangs_has_failed_even_if_it_ignores_being_cancelled() -> None:
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    made = await run_check("it ends", stubborn, 0.05)
    assert (made.outcome, made.why) == ("failed", "it was not over within 0.05 seconds")
    let_go.set()
