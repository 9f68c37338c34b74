"""What importing a pack costs, measured in a fresh process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsmith.testing.report import Failed

_HEAVY = """
torch transformers tensorflow jax sympy z3 pandas polars numpy scipy sklearn matplotlib datasets
pyarrow trl peft accelerate ray networkx PIL cv2 nltk spacy openai anthropic ollama aiohttp httpx
requests boto3 langchain langgraph
"""
HEAVY = frozenset(_HEAVY.split())
"""Packages that a function imports when it is called, not when it is listed."""

LIMIT = 60.0

_SCRIPT = """
import json, pathlib, sys, time
sys.path[:] = json.loads(sys.argv[1])
import callsmith.functions, callsmith.hookspecs, callsmith.signatures, jsonschema, pydantic
from callsmith.functionfiles import import_file
import pydantic.deprecated.decorator, pydantic.errors, pydantic.json_schema
before = set(sys.modules)
print("-- begin", file=sys.stderr)
began = time.process_time()
for name in json.loads(sys.argv[2]):
    import_file(pathlib.Path(name)) if name.endswith(".py") else __import__(name)
print("\\n" + json.dumps([time.process_time() - began, sorted(set(sys.modules) - before)]))
"""


@dataclass(frozen=True)
class Imported:
    """Seconds of CPU, the heavy packages among what was imported, and the seconds of the three
    slowest.
    """

    seconds: float
    heavy: tuple[str, ...]
    slowest: tuple[tuple[str, float], ...]


def measure_import(modules: Sequence[str]) -> Imported:
    """Import modules, or files by their path, after what every pack needs of callsmith.

    Raises Failed if they can't be imported there.
    """
    path = [str(Path(entry).absolute()) for entry in sys.path]
    arguments = [json.dumps(path), json.dumps(list(modules))]
    try:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", _SCRIPT, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"importing {', '.join(modules)} took over {LIMIT:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        raise Failed(f"{', '.join(modules)} can't be imported alone: {lines[-1] if lines else '?'}")
    seconds, names = json.loads(done.stdout.splitlines()[-1])
    tops = {name.partition(".")[0] for name in names}
    spent: Counter[str] = Counter()
    for micros, name in re.findall(
        r"^import time: +(\d+) \| +\d+ \| +([\w.]+)", done.stderr.partition("-- begin")[2], re.M
    ):
        spent[name.partition(".")[0]] += int(micros)
    slowest = tuple((name, micros / 1e6) for name, micros in spent.most_common(3))
    return Imported(seconds, tuple(sorted(tops & HEAVY)), slowest)
