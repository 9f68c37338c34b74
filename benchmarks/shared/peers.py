"""An environment of their own for the tools that callsmith is measured beside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent.parent
PYTHON = HERE / ".peers" / "bin" / "python"


def install() -> dict[str, str]:
    """The peers of peers.txt that could not be installed, by name, and why. Done once."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".peers"], check=True)
    wanted = [
        line.strip()
        for line in (HERE / "peers.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    missing = {}
    for requirement in wanted:
        name, _, version = requirement.partition("==")
        ask = f"from importlib.metadata import version; print(version({name!r}))"
        if _run("-c", ask).stdout.strip() == version:
            continue
        print(f"installing {requirement} into benchmarks/.peers", file=sys.stderr)
        installed = _run("-m", "pip", "install", "-q", requirement)
        if installed.returncode:
            lines = installed.stderr.strip().splitlines()
            missing[name] = lines[-1] if lines else f"pip ended with {installed.returncode}"
    return missing


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, *arguments], capture_output=True, text=True)
