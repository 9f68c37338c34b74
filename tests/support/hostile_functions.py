"""Functions that do what they must not, and one that is well: importable in workers."""

from __future__ import annotations

import ctypes
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from callsmith.functions import function


@function
def double(n: int) -> int:
    """Twice n."""
    return 2 * n


@function(timeout=1)
def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found."""
    return re.search(pattern, text) is not None


@function(timeout=1)
def power(base: int, exponent: int) -> int:
    """The power, written out: Python gets no turn meanwhile."""
    return len(str(base**exponent))


@function(timeout=1)
def factorial(n: int) -> int:
    """How many digits n! has."""
    return len(str(math.factorial(n)))


@function(memory_mb=200)
def fill(megabytes: int) -> int:
    """Take so much memory."""
    return len(b"x" * (megabytes * 2**20))


@function
def crash() -> int:
    """Read memory that is nobody's."""
    return len(ctypes.string_at(0))


@function
def leave() -> int:
    """End the process."""
    os._exit(0)


@function
def shout(length: int) -> str:
    """A text of that length."""
    return "x" * length


@function
def nest(depth: int) -> Any:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@function
def refuse(length: int) -> int:
    """Fail with a long message."""
    raise ValueError("x" * length)


@function(inline=True)
def quit_inline() -> int:
    """Try to end the program."""
    raise SystemExit(0)


@function(inline=True)
def unspeakable() -> int:
    """Fail, and fail to say why."""
    raise Unspeakable


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


@function(timeout=1)
def breed(folder: str) -> int:
    """Start a child that starts a child, and hang."""
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1], 'pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)"
    )
    subprocess.Popen([sys.executable, "-c", code, folder])
    time.sleep(600)
    return 0


@function(timeout=120)
def wait_for(path: str) -> str:
    """Compute until a file is there."""
    while not Path(path).exists():
        pass
    return "seen"
