"""Starting is light, whatever is installed: what is imported is held to names, not to a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributions import hook, install

HEAVY = {
    *(
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "accelerate",
        "tokenizers",
        "safetensors",
    ),
    *(
        "sympy",
        "mpmath",
        "z3",
        "lark",
        "scipy",
        "numpy",
        "pandas",
        "pyarrow",
        "matplotlib",
        "jinja2",
    ),
    *(
        "openai",
        "ollama",
        "aiohttp",
        "httpx",
        "requests",
        "langchain_core",
        "pydantic",
        "jsonschema",
    ),
    *("asyncio", "sqlite3", "multiprocessing", "huggingface_hub", "langgraph", "ray", "mcp"),
}

STARTED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from callsmith.cli import main
sys.argv = ["callsmith", *sys.argv[1:]]
main()
"""


def imported(folder: Path, *arguments: str) -> tuple[set[str], str]:
    """What a command has imported when it ends, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, *arguments],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["plugins"], ["ask", "--help"]])
def test_nothing_heavy_is_imported_with_50_more_plugins(
    tmp_path: Path, arguments: list[str]
) -> None:
    for number in range(50):
        install(tmp_path, f"dummy{number}", hook("commands", **{f"dummy{number}": "torch:nn"}))
    modules, shown = imported(tmp_path, *arguments)
    if arguments in (["--help"], ["plugins"]):
        assert "dummy49" in modules
        assert "dummy49" in shown
    # The help of a command imports what the command itself is made of.
    allowed = {"asyncio", "sqlite3", "pydantic"} if arguments[0] == "ask" else set()
    assert modules & HEAVY <= allowed


def test_the_names_are_those_of_modules_that_are_here() -> None:
    """A name that is misspelt would find nothing."""
    import importlib.util

    optional = {"ray", "mcp", "langgraph", "requests", "pandas", "pyarrow"}
    assert {name for name in HEAVY if importlib.util.find_spec(name) is None} <= optional
