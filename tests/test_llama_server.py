"""The server that other tests stand on is killed, comes back, and never outlives its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest
from llama_server import Server


def test_a_killed_server_comes_back_on_its_port(tiny_gguf: Path) -> None:
    with Server(tiny_gguf) as server:
        url = f"{server.url}/models"
        assert urllib.request.urlopen(url).status == 200
        server.kill()
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url)
        server.start()
        assert urllib.request.urlopen(url).status == 200


def test_its_key_is_wanted_and_in_no_command_line(tiny_gguf: Path) -> None:
    with Server(tiny_gguf, api_key="a-key-of-the-test") as server:
        with pytest.raises(HTTPError, match="401"):
            urllib.request.urlopen(f"{server.root}/props")
        listed = subprocess.run(
            ["ps", "-ww", "-o", "args", "-p", str(server.pid)], capture_output=True
        )
        assert b"llama_server.py" in listed.stdout
        assert b"a-key-of-the-test" not in listed.stdout


def test_it_ends_with_its_parent_whatever_ends_that(tiny_gguf: Path) -> None:
    code = (
        "import os, sys; from llama_server import Server\n"
        f"with Server({str(tiny_gguf)!r}) as server:\n"
        "    print(server.port, flush=True); os.kill(os.getpid(), 9)"
    )
    support = str(Path(__file__).parent / "support")
    parent = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": support},
    )
    assert parent.returncode == -9
    with suppress(ConnectionRefusedError):
        while True:  # until it is gone
            socket.create_connection(("127.0.0.1", int(parent.stdout))).close()
            time.sleep(0.02)


def test_it_says_why_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No such file or directory"):
        Server(tmp_path / "nothing.gguf").start()
