"""A server of models that has bad days: real HTTP over real sockets, broken where it is told to.

`FaultServer` answers like the kind of server that its `Wire` describes. ``days`` says what it does
to the turns it is asked for, one `BadDay` after another, None for a good one; afterwards all days
are good. It records what it was sent. The bad days that there are stand in `days`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TypeAlias

from callsmith.backends import Completion
from callsmith.chain import JSON, Usage
from callsmith.errors import BackendError
from callsmith.testing.wires import Sent, Wire

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in. ``sent`` is what a turn's request asks for, else None.

    Header names are in lower case; ``at`` is the event loop's time in seconds, ``connection`` the
    number of the connection that it came over.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: JSON
    at: float
    connection: int
    sent: Sent | None = None


@dataclass(frozen=True)
class BadDay:
    """What a server does on a bad day, and what a backend must make of it.

    ``name`` goes on from "a server that ..."; ``play`` does it. ``expected`` are the types, one of
    which `Backend.complete` must give or raise: Completion where the answer can be had in spite of
    it, TimeoutError where nothing must come. ``waits`` says whether the error must carry the wait
    that the server asks for, None if that is all the same. ``alter`` is what becomes of the good
    turn; ``about_calls`` says that it happens in the native dialect only.
    """

    name: str
    play: Callable[[Exchange], Awaitable[None]]
    expected: tuple[type[Completion | BackendError | TimeoutError], ...]
    waits: bool | None = None
    alter: Callable[[Completion], Completion] = lambda turn: turn
    about_calls: bool = False


Good: TypeAlias = Callable[[Sent], Completion]
"""The turn that a healthy server gives."""


def count(sent: Sent) -> int:
    """Tokens of what a request has the model read, functions included: words will do."""
    return len(json.dumps([*sent.messages, *sent.tools]).split())


def echo(sent: Sent) -> Completion:
    """The last message again, so that everybody can tell their own answer."""
    text = f"You said: {sent.messages[-1].get('content')}"
    return Completion(text, usage=Usage(count(sent), len(text.split())))


@dataclass
class FaultServer:
    """An HTTP/1.1 server on a loopback port of its own, up while the context is open.

    ``good`` gives the turns of good days; ``coming`` are the days still to come, to which more can
    be added. With ``refuses``, a status and a message, it refuses whatever it is asked, on any
    path. ``requests`` is all that was asked; ``left`` counts the clients that went away while they
    were kept waiting.
    """

    wire: Wire
    good: Good = echo
    days: Iterable[BadDay | None] = ()
    refuses: tuple[int, str] | None = None
    requests: list[Asked] = field(default_factory=list)
    left: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self.coming = deque(self.days)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def url(self) -> str:
        """Where backends find it, with what their URLs end in: ``http://127.0.0.1:8001/v1``."""
        return f"http://127.0.0.1:{self.port}{self.wire.base}"

    @property
    def turns(self) -> list[Asked]:
        """The requests that asked for a turn."""
        return [asked for asked in self.requests if asked.path == self.wire.chat]

    async def listen(self) -> None:
        """Take connections, on the same port as before if it had one."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """Take no connections any more, and reset those that there are."""
        if self._server:
            self._server.close()
        for writer in list(self._writers):
            reset(writer)

    async def __aenter__(self) -> FaultServer:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def later(self, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
        """Do something after a while, unless the server is closed by then."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await what()

        self._keep(asyncio.ensure_future(wait()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        self._keep(asyncio.ensure_future(self._serve(reader, writer, self._connections)))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        self._writers.add(writer)
        try:
            while not writer.is_closing() and (asked := await self._read(reader, connection)):
                self.requests.append(asked)
                await self._answer(asked, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as clients do
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Asked | None:
        """The next request on a connection, None at its end."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        parts = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in parts}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.loads(raw) if raw else None
        at = asyncio.get_running_loop().time()
        return Asked(method, path.partition("?")[0], headers, body, at, connection)

    async def _answer(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exchange = Exchange(self, asked, Completion(), reader, writer)
        if self.refuses:
            status, message = self.refuses
            return await exchange.refuse(status, self.wire.error(status, message))
        if asked.path != self.wire.chat:
            status, body = self.wire.look_up(asked.path, asked.body)
            return await exchange.refuse(status, body)
        try:
            sent = self.wire.read(asked.body)
        except (ValueError, KeyError, TypeError) as error:
            body = self.wire.error(400, f"the request is wrong: {error}")
            return await exchange.refuse(400, body)
        self.requests[-1] = replace(asked, sent=sent)
        exchange.good, exchange.streamed = self.good(sent), sent.stream
        if not sent.usage:
            exchange.good = replace(exchange.good, usage=Usage())
        day = self.coming.popleft() if self.coming else None
        if day is None:
            return await exchange.send(exchange.response())
        exchange.good = day.alter(exchange.good)
        await day.play(exchange)


@dataclass
class Exchange:
    """One request that is being answered: what a `BadDay` has to play with.

    ``good`` is the turn that a healthy server would give now; ``streamed`` whether the client
    wants it in pieces.
    """

    server: FaultServer
    asked: Asked
    good: Completion
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    streamed: bool = False

    @property
    def wire(self) -> Wire:
        return self.server.wire

    @property
    def content(self) -> bytes:
        """The good turn as the wire has it, before HTTP wraps it up."""
        if self.streamed:
            return b"".join(self.wire.frames(self.good))
        return json.dumps(self.wire.answer(self.good), ensure_ascii=False).encode()

    def response(
        self,
        content: bytes | None = None,
        status: int = 200,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        chunk: int = 64,
    ) -> bytes:
        """A whole HTTP response; the good one if nothing is given.

        What is streamed goes out in chunks of so many bytes, which mind no boundary.
        """
        content = self.content if content is None else content
        streamed = self.streamed and status == 200 and not kind
        head = {"Content-Type": kind or "application/json"}
        if streamed:
            head = {"Content-Type": self.wire.stream_type, "Transfer-Encoding": "chunked"}
            content = _chunked(content, max(chunk, len(content) // 1000))
        else:
            head["Content-Length"] = str(len(content))
        lines = [f"{name}: {value}\r\n" for name, value in {**head, **(headers or {})}.items()]
        first = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\n"
        return "".join([first, *lines, "\r\n"]).encode("latin-1") + content

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def refuse(
        self, status: int, body: JSON | str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with this status: a JSON body, or a page of HTML."""
        if isinstance(body, str):
            kind, content = "text/html; charset=utf-8", body.encode()
        else:
            kind, content = "application/json", json.dumps(body).encode()
        await self.send(self.response(content, status, kind, headers))

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        reset(self.writer)

    def close(self) -> None:
        """End the connection in good order, whatever was promised on it."""
        self.writer.close()

    async def hold(self) -> None:
        """Say nothing more until the client goes away."""
        try:
            while await self.reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        self.server.left += 1
        self.writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a TCP reset: what was not read by then is lost."""
    opened = writer.get_extra_info("socket")
    if opened is not None and not writer.is_closing():
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _chunked(content: bytes, size: int) -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
