"""How long to wait for a server that is away or busy, and what a person is told of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from callsmith.errors import Unavailable

FIRST = 0.5
LONGEST = 60.0
"""Seconds before the first retry and before the later ones, unless the server says how long."""

MOST = 3600.0
"""Seconds that a server may ask for: one that wants to be left alone for longer ends the run."""

QUIET = 10.0
"""Seconds without any turn of which nobody need hear."""


def wait_before_retry(error: Unavailable, tried: int, max_retries: int) -> float:
    """The seconds to wait after ``tried`` retries.

    They double, with jitter, and are never fewer than the server asked for. Raises Unavailable if
    the retries are used up, or if the server wants to be left alone for too long.
    """
    if tried >= max_retries:
        tries = f"{tried + 1} tries" if tried else "one try"
        raise Unavailable(f"given up after {tries}, start it again to go on: {error}") from error
    own = min(LONGEST, FIRST * 2.0 ** min(tried, 16)) * random.uniform(0.5, 1.0)
    if error.retry_after is None:
        return own
    if error.retry_after > MOST:
        until = datetime.now().astimezone() + timedelta(seconds=error.retry_after)
        raise Unavailable(
            f"the server wants to be left alone until {until:%H:%M on %d %B %Y}, start it again "
            f"then to go on: {error}"
        ) from error
    # Those who were all told the same must not all come back at once.
    return max(error.retry_after, own) * random.uniform(1.0, 1.1)


class Watch:
    """Tells, in a sentence each, when a wait for a server begins that is worth a word, and ends.

    That is one of ``quiet`` seconds (by default `QUIET`) in which none of those under way comes.
    """

    def __init__(self, tell: Callable[[str], None], quiet: float | None = None) -> None:
        self._tell = tell
        self._quiet = QUIET if quiet is None else quiet
        self._since: float | None = None
        self._told = False

    def waits(self, seconds: float, error: Unavailable) -> None:
        """A turn did not come, and is asked for again after so many seconds."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if not self._told and now + seconds - self._since >= self._quiet:
            self._told = True
            self._tell(f"{_clock()} waiting for the server: {error}")

    def answers(self) -> None:
        """A turn came."""
        if self._told and self._since is not None:
            away = timedelta(seconds=round(time.monotonic() - self._since))
            self._tell(f"{_clock()} the server is back after {away}")
        self._since, self._told = None, False


def _clock() -> str:
    return f"{datetime.now():%H:%M:%S}"
