"""The connection to one MCP server: opened once, shared by all chains, opened again if it is lost.

It lives in a thread with a loop of its own, so that callers may come from any loop. What a caller
should know is typed by who must act: PluginError at the opening, FunctionFault for what the model
is told, Unavailable for a server that went away and does not come back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

import anyio
import httpx2
import mcp.client.session
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult, Implementation, Tool

from callsmith import __version__
from callsmith.calls import FunctionFault
from callsmith.chain import JSON
from callsmith.errors import PluginError, Unavailable, describe
from callsmith_mcp.address import Address

T = TypeVar("T")

START_SECONDS = 60.0
"""For a server to start and answer; one that ``npx`` or ``uvx`` fetches takes its time."""

CALL_SECONDS = 30.0
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each try to reach a server again that was there before."""

STAND_INS = {"Session terminated", "Server returned an error response", "Not Found"}
"""What the SDK says in the name of an HTTP server that gives no answer to the point."""

# What goes wrong is said by the errors; the SDK prints a traceback as well. Its sessions log by
# a name that others may have too.
logging.getLogger("mcp").addHandler(logging.NullHandler())
logging.getLogger("mcp").propagate = False
logging.getLogger("client").addFilter(lambda record: record.pathname != mcp.client.session.__file__)


class Connection:
    """A server, from the first call to `close`; after that, another call opens it again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._session: _Session | None = None
        self._starting = asyncio.Lock()
        self._turns = _Turns()
        Thread(target=self._loop.run_forever, name="callsmith-mcp", daemon=True).start()

    def list_tools(self) -> list[Tool]:
        """What the server offers. Raises PluginError if it can't be had."""
        return self._submit(self._list_tools()).result()

    async def call(self, tool: str, arguments: Mapping[str, JSON], name: str) -> CallToolResult:
        """What the tool gives, errors of its own among it. The model knows it by ``name``.

        A call that loses the connection is made once more, with no other beside it. Raises
        FunctionFault if that is lost too, for a call that takes too long, and for one that the
        server refuses; Unavailable if the server can't be reached any more.
        """
        return await asyncio.wrap_future(self._submit(self._call(tool, dict(arguments), name)))

    def close(self) -> None:
        """End the session, and the server if it was started here."""
        self._submit(self._close()).result()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _list_tools(self) -> list[Tool]:
        self._session = _Session(self._address)
        try:
            client = await self._session.start()
            tools, cursor = [], None
            async with asyncio.timeout(START_SECONDS):
                while True:
                    page = await client.list_tools(cursor=cursor)
                    tools += page.tools
                    cursor = page.next_cursor
                    if not cursor:
                        return tools
        except (Unavailable, MCPError, TimeoutError) as error:
            await self._close()
            raise PluginError(
                str(error)
                if isinstance(error, Unavailable)
                else f"MCP server {self._address.label} does not list its tools: {_words(error)}"
            ) from error

    async def _call(self, tool: str, arguments: dict[str, Any], name: str) -> CallToolResult:
        for alone in (False, True):
            async with self._turns.take(alone):
                session, client = await self._connected()
                try:
                    return await client.call_tool(
                        tool, arguments, read_timeout_seconds=CALL_SECONDS
                    )
                except MCPError as error:
                    if error.code == REQUEST_TIMEOUT:
                        slow = f"{name} took longer than {CALL_SECONDS:g} s and was stopped"
                        raise FunctionFault("timeout", slow) from error
                    if error.code != CONNECTION_CLOSED and error.message not in STAND_INS:
                        raise FunctionFault("function_error", f"{name}: {_words(error)}") from error
                except (httpx2.HTTPError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                    pass
                await self._let_go(session)
        raise FunctionFault("crash", f"{name} crashed its server")

    async def _connected(self) -> tuple[_Session, Client]:
        async with self._starting:
            if self._session is None:
                self._session = await self._start_again()
            return self._session, await self._session.client

    async def _start_again(self) -> _Session:
        why: Unavailable | None = None
        for pause in (0.0, *PAUSES):
            await asyncio.sleep(pause)
            session = _Session(self._address)
            try:
                await session.start()
                return session
            except BaseException as error:
                await session.stop()
                if not isinstance(error, Unavailable):
                    raise
                why = error
        raise Unavailable(f"{why}; it was there before: see to it, and start again") from why

    async def _let_go(self, session: _Session) -> None:
        """Many calls lose one session: the first of them ends it."""
        if self._session is session:
            self._session = None
            await session.stop()

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session:
            await session.stop()


class _Turns:
    """Who may call: many at once, or one alone. Calls go on only when no one waits to be alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._running = 0
        self._alone = 0

    @asynccontextmanager
    async def take(self, alone: bool) -> AsyncIterator[None]:
        async with self._changed:
            self._alone += alone
            try:
                await self._changed.wait_for(lambda: not (self._running if alone else self._alone))
            except BaseException:
                self._alone -= alone
                raise
            self._running += 1
        try:
            yield
        finally:
            async with self._changed:
                self._running -= 1
                self._alone -= alone
                self._changed.notify_all()


class _Session:
    """One life of the connection, held by a task, since the SDK wants both its ends in one."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._over = asyncio.Event()
        self.client: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold())

    async def start(self) -> Client:
        """The client, once the server answered. Raises Unavailable."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await asyncio.shield(self.client)
        except TimeoutError:
            why = f"gave no answer within {START_SECONDS:g} s"
            raise Unavailable(f"MCP server {self._address.label} {why}") from None

    async def stop(self) -> None:
        self._over.set()
        if not self.client.done():
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _hold(self) -> None:
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            try:
                async with self._open(log) as client:
                    self.client.set_result(client)
                    await self._over.wait()
            except BaseException as error:
                # Once it was open, those who call notice themselves.
                if not self.client.done():
                    said = f"MCP server {self._address.label} can't be used: {_why(error, log)}"
                    self.client.set_exception(Unavailable(said))
                    self.client.exception()  # looked at, whether or not somebody waits

    @asynccontextmanager
    async def _open(self, log: IO[str]) -> AsyncIterator[Client]:
        address, info = self._address, Implementation(name="callsmith", version=__version__)
        if address.command:
            watch = ["-I", str(Path(__file__).with_name("watch.py")), str(os.getpid())]
            server = StdioServerParameters(
                command=sys.executable,
                args=[*watch, *address.command],
                env=dict(address.settings),
            )
            async with Client(stdio_client(server, log), client_info=info) as client:  # type: ignore[arg-type]
                yield client
        else:
            timeout = httpx2.Timeout(CALL_SECONDS, read=None)
            async with (
                httpx2.AsyncClient(headers=dict(address.settings), timeout=timeout) as http,
                Client(
                    streamable_http_client(address.url, http_client=http), client_info=info
                ) as client,
            ):
                yield client


def _why(error: BaseException, log: IO[str]) -> str:
    """The reason in one line: the server's own last words, if it had any."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    log.seek(0)
    last = [line.strip() for line in log.read().splitlines() if line.strip()][-1:]
    return describe(Exception(last[0])) if last else _words(error)


def _words(error: BaseException) -> str:
    return describe(Exception(error.message) if isinstance(error, MCPError) else error)
