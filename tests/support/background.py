"""A server for tests, in a process of its own that can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Background:
    """A script that serves on loopback, up while the context is open.

    It takes ``--port`` and ``--with-parent``, prints its URL once it answers, and ends when its
    standard input is closed: so with this process, whatever ends that. It gets a free port if
    ``port`` is 0, and keeps it through `kill` and `start`.
    """

    def __init__(
        self, script: str, arguments: Sequence[str], port: int = 0, **variables: str
    ) -> None:
        self.port = port
        self._command = [sys.executable, script, *arguments, "--with-parent"]
        self._variables: Mapping[str, str] = variables
        self._process: subprocess.Popen[str] | None = None

    @property
    def root(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Return once it answers. Raises RuntimeError with its last words if it ends instead."""
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                [*self._command, f"--port={self.port}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self._variables},
            )
            assert self._process.stdout
            url = self._process.stdout.readline().strip()
            if not url:
                self.kill()
                log.seek(0)
                said = log.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"{self._command[1]} did not start:\n{said}")
        self.port = urlsplit(url).port or 0

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does; `start` brings it back on the same port."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
