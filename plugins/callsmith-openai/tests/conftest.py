"""A clean environment for each test, and servers that it can tell what to say."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

# Tests are imported without their folder on the path; this puts `openai_stub` there.
sys.path.insert(0, str(Path(__file__).parent))

from openai_stub import Stub


@pytest.fixture(autouse=True)
def _nobody_elses_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "SSL_CERT")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Its URL has no /v1: a test adds what it wants."""
    made = Stub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Any]]:
    """Serves raw connections by a function of reader and writer; gives the port."""
    servers = []

    async def start(serve: Callable[..., Any], **options: Any) -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()
