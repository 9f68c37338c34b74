"""What HTTP servers of models have in common: refusals by who must act, addresses, proxies,
thoughts.

For backends that speak to one; nothing here opens a connection.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from callsmith.errors import BackendError, ContextOverflow, RateLimited, Rejected, Unavailable

PASSING = (408, 409, 425)
"""Statuses below 500 that mean: not now."""

YEAR = 366 * 86400.0
"""Seconds: more than that no server means."""

_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size)|(?:prompt|input|request).{0,30}too (?:long|large)"
    r"|maximum.{0,20}tokens|exceed.{0,40}context|too many tokens",
    re.IGNORECASE | re.DOTALL,
)
_THOUGHTS = re.compile(r"\s*(?:<think>)?(.*?)</think>\s*", re.DOTALL)


def refusal(status: int, message: str, retry_after: str = "") -> BackendError:
    """The error that stands for an HTTP status other than 200, to be raised.

    ``message`` is the whole sentence for the user, the server's own words in it; ``retry_after``
    the header of that name, in seconds or as a date.
    """
    if status in (429, 503):
        return RateLimited(message, seconds_to_wait(retry_after), status)
    if status in (400, 413, 422, 500) and _TOO_LONG.search(message):
        return ContextOverflow(message)
    if status in PASSING or status >= 500:
        return Unavailable(message, seconds_to_wait(retry_after), status)
    return Rejected(message)


def seconds_to_wait(retry_after: str) -> float | None:
    """What a Retry-After header asks for, None if it is not there or says nothing sensible."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), YEAR) if seconds < float("inf") else None


def split_reasoning(text: str) -> tuple[str, str]:
    """The thoughts that some models write into their text, ``<think>…</think>``, and the rest.

    The opening tag may be missing, since some templates write it for the model; thoughts that
    never end are all thoughts.
    """
    if found := _THOUGHTS.match(text):
        return found[1].strip(), text[found.end() :]
    if text.lstrip().startswith("<think>"):
        return text.lstrip().removeprefix("<think>").strip(), ""
    return "", text


def is_loopback(url: str) -> bool:
    """Whether the URL is of this machine: such a one is never reached through a proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def readable_url(url: str) -> str:
    """The URL as a message may show it: without a query, which may hold a key."""
    return url.partition("?")[0].partition("#")[0]


@dataclass(frozen=True, repr=False, slots=True)
class Proxy:
    """A proxy, and the variable that names it. ``url`` may hold a password, ``shown`` does not."""

    url: str
    variable: str

    @property
    def shown(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def named(self) -> str:
        """As a message shows it, with where it comes from."""
        return f"{self.shown} (named by {self.variable})"


def find_proxy(url: str) -> Proxy | None:
    """The proxy that the environment names for this URL; never one for a server on this machine.

    Raises Rejected for a proxy that does not speak HTTP.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), "")
    if not kind or is_loopback(url) or proxy_bypass(parts.netloc):
        return None
    named, names = proxies[kind], (f"{kind}_proxy", f"{kind}_proxy".upper())
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    proxy = Proxy(named if "://" in named else f"http://{named}", variable)
    if not proxy.url.startswith(("http://", "https://")):
        raise Rejected(
            f"the proxy {proxy.shown} ({variable}) is none for HTTP: name one that is, or put "
            f"{parts.hostname} into NO_PROXY"
        )
    return proxy
