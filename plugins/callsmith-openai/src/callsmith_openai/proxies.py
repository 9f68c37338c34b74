"""The proxy that the environment names for a server, if any.

Looked up once: aiohttp's own ``trust_env`` looks it up for every request, in a thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from callsmith.errors import Rejected
from callsmith.serving import is_loopback


@dataclass(frozen=True, repr=False, slots=True)
class Proxy:
    """A proxy, and the variable that names it. ``url`` may hold a password, ``shown`` does not."""

    url: str
    variable: str

    @property
    def shown(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def find_proxy(url: str) -> Proxy | None:
    """The proxy for this URL; never one for a server on this machine.

    Raises Rejected for a proxy that does not speak HTTP.
    """
    parts = urlsplit(url)
    named = getproxies().get(parts.scheme)
    if not named or is_loopback(url) or proxy_bypass(parts.netloc):
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper())
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    proxy = Proxy(named if "://" in named else f"http://{named}", variable)
    if not proxy.url.startswith(("http://", "https://")):
        raise Rejected(
            f"the proxy {proxy.shown} ({variable}) is none for HTTP: name one that is, or put "
            f"{parts.hostname} into NO_PROXY"
        )
    return proxy
