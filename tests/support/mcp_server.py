"""An MCP server for tests, written with the SDK: on stdio, or on loopback with ``--http``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("tests")
calls = 0


@server.tool()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@server.tool(name="text.shout-it")
def shout(text: str, times: int = 1) -> list[str]:
    """Say it loudly."""
    return [text.upper()] * times


@server.tool()
def divide(a: float, b: float) -> float:
    """Divide a by b."""
    if b == 0:
        raise ToolError("nothing can be divided\nby zero")
    return a / b


@server.tool()
def draw(size: int) -> Image:
    """A picture of so many bytes."""
    return Image(data=b"x" * size, format="png")


@server.tool()
def die() -> str:
    """End the server in the middle of the call."""
    os._exit(3)


@server.tool()
def die_once(marker: str) -> str:
    """End the server, unless the file is there."""
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "alive"


@server.tool()
def sleep(seconds: float) -> str:
    """Sleep."""
    time.sleep(seconds)
    return "woke up"


@server.tool()
def long_text(characters: int) -> str:
    """A text of so many characters."""
    return "x" * characters


@server.tool()
def variable(name: str) -> str:
    """What the server sees of the environment."""
    return os.environ.get(name, "")


@server.tool()
def process(child: bool) -> int:
    """The server's process, or that of a child that outlives its input."""
    return subprocess.Popen(["sleep", "600"]).pid if child else os.getpid()


@server.tool()
def count() -> int:
    """How often it was called since the server started."""
    global calls
    calls += 1
    return calls


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--with-parent", action="store_true")
    asked = parser.parse_args()
    if not asked.http:
        server.run()
        return
    import socket

    import uvicorn

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    sockets = [socket.create_server(("127.0.0.1", asked.port))]
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    uvicorn.Server(config).run(sockets)


if __name__ == "__main__":
    main()
