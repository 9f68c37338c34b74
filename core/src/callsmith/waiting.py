"""How long to wait for a server that is away or busy, and what a person is told of it."""

from __future__ import annotations

import logging
import random
import time
from datetime import datetime, timedelta

from callsmith.errors import Unavailable

logger = logging.getLogger(__name__)

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
    """Tells in the log when a wait for a server begins that is worth a word, and when it ends.

    That is one of ``quiet`` seconds in which no turn comes, of none of those under way.
    """

    def __init__(self, quiet: float = QUIET) -> None:
        self._quiet = quiet
        self._since: float | None = None
        self._told = False

    def waits(self, seconds: float, error: Unavailable) -> None:
        """A turn did not come, and is asked for again after so many seconds."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if not self._told and now + seconds - self._since >= self._quiet:
            self._told = True
            logger.warning("%s waiting for the server: %s", _clock(), error)

    def answers(self) -> None:
        """A turn came."""
        if self._told and self._since is not None:
            away = timedelta(seconds=round(time.monotonic() - self._since))
            logger.warning("%s the server is back after %s", _clock(), away)
        self._since, self._told = None, False


def _clock() -> str:
    return f"{datetime.now():%H:%M:%S}"
