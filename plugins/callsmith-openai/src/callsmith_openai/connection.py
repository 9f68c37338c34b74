"""HTTP to one server: a pool of connections without a limit, and what comes back.

How many requests are under way is the rollout's to say. Nothing here waits or tries again, but
for a connection that the server had closed while it lay idle.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import Any

import aiohttp
from yarl import URL

from callsmith.errors import Rejected
from callsmith.serving import find_proxy, readable_url
from callsmith_openai.failures import Answer, Failures
from callsmith_openai.keys import Key

IDLE_SECONDS = 4.0
"""A connection idle for longer is not used again: uvicorn, Node and llama.cpp close it after 5."""

CONNECT_SECONDS = 15.0
LOOK_SECONDS = 30.0
"""For the whole of a `get`: no model is at work there."""

_opened: ContextVar[list[bool]] = ContextVar("opened")


class Connection:
    """The server whose API is at ``url``. Raises Rejected for a URL that can be none."""

    def __init__(self, url: str, key: Key) -> None:
        try:
            self.url = URL(url)
            if not self.url.host:
                raise ValueError("it names no host")
        except ValueError as error:
            raise Rejected(f"{readable_url(url)} is no URL of a server: {error}") from error
        # Looked up once: aiohttp's own trust_env looks it up for every request, in a thread.
        self.proxy = find_proxy(url)
        self.failures = Failures(readable_url(url), key, self.proxy)
        self.chat = self.under("chat/completions")
        self._headers = {"Content-Type": "application/json"}
        if key.value:
            self._headers["Authorization"] = f"Bearer {key.value}"
        self._session: aiohttp.ClientSession | None = None

    def under(self, path: str) -> URL:
        """The URL of a path under the API's own, with its query, if it has one."""
        return (self.url / path).with_query(self.url.query)

    def beside(self, path: str) -> URL:
        """The URL of a path beside /v1."""
        base = self.url.parent if self.url.name == "v1" else self.url
        return (base / path).with_query(self.url.query)

    async def get(self, url: URL) -> Answer:
        """What the server has there, whatever the status. Raises Unavailable or Rejected."""
        timeout = aiohttp.ClientTimeout(total=LOOK_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._pool.get(url, timeout=timeout, allow_redirects=False) as response:
                return _answer(response, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self.failures.network(error, looking=True) from None

    async def post(self, url: URL, body: bytes) -> Answer:
        """What the server answers there, whatever the status. Raises as `get`."""
        try:
            async with await self._post(url, body) as response:
                return _answer(response, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self.failures.network(error) from None

    async def ask(self, body: bytes) -> Any:
        """The JSON that a chat completion is answered with. Raises BackendErrors."""
        return self._read(await self.post(self.chat, body))

    async def stream(self, body: bytes) -> AsyncGenerator[bytes | Any, None]:
        """The same, piece by piece as it comes: bytes of a stream of events.

        A server that does not stream gives one piece that is the answer's JSON.
        """
        try:
            async with await self._post(self.chat, body) as response:
                if response.status == 200 and response.content_type == "text/event-stream":
                    async for piece in response.content.iter_any():
                        yield piece
                    return
                answer = _answer(response, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self.failures.network(error) from None
        yield self._read(answer)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.close()

    def _read(self, answer: Answer) -> Any:
        if answer.status != 200:
            raise self.failures.status(answer)
        if answer.data is None:
            kind = answer.kind
            what = "JSON that breaks off" if kind == "application/json" else f"{kind}, not JSON"
            raise self.failures.nonsense(f"answers with {what}")
        return answer.data

    async def _post(self, url: URL, body: bytes) -> aiohttp.ClientResponse:
        """The answer, of which the head has come.

        A server may close an idle connection in the moment when it is taken up again. Then the
        request was never read, and is sent once more: aiohttp does that for GET only.
        """
        opened: list[bool] = []
        _opened.set(opened)
        post = self._pool.post
        try:
            return await post(url, data=body, allow_redirects=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
            if opened:
                raise
        return await post(url, data=body, allow_redirects=False)

    @property
    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=IDLE_SECONDS,
                    # Made here, so that SSL_CERT_FILE is read now and not when aiohttp was loaded.
                    ssl=ssl.create_default_context() if self.url.scheme == "https" else True,
                    socket_factory=_open_socket,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                proxy=self.proxy.url if self.proxy else None,
            )
        return self._session


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    return Answer(response.status, response.content_type, response.headers, body, data)


def _open_socket(address: Any) -> socket.socket:
    """A socket for a new connection, noted for the request that it is opened for."""
    _opened.get([]).append(True)
    family, kind, protocol, _, _ = address
    return socket.socket(family=family, type=kind, proto=protocol)
