"""Runs a command, and kills it with its children if the program that wanted it dies.

Started as ``python watch.py PID COMMAND ARGS…``, the leader of a process group of its own; the
command has its standard streams. An MCP server should end when its input does, but many are busy
with a tool just then, or start a child that never hears of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

SECONDS = 0.5


def main() -> int:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    try:
        server = subprocess.Popen(command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    # Only the command reads its input and writes its output: they end when it does.
    for stream in (0, 1):
        os.close(stream)
    while os.getppid() == parent:
        with suppress(subprocess.TimeoutExpired):
            server.wait(SECONDS)
            break
    os.killpg(0, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main())
