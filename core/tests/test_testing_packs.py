"""The kit for function packs finds what is wrong with them, and nothing wrong with sound ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from callsmith.cli import callsmith
from callsmith.errors import PluginError
from callsmith.functions import Function, FunctionPack
from callsmith.testing import Report, check_pack, fuzz

PROJECT = """
[project]
name = "callsmith-{name}"
version = "1.0"
dependencies = ["callsmith>=0.1"]
[project.entry-points.callsmith]
{name} = "{name}_plugin"
"""

PLUGIN = """
from callsmith.hookspecs import hookimpl

@hookimpl
def callsmith_functions():
    return {{"{name}": "{name}_pack:pack"}}

@hookimpl
def callsmith_tasks():
    return {{"{name}-sums": "{name}_pack:Sums", "{name}-none": "{name}_pack:Needy"}}
"""

HEAD = """
import os
from datetime import date
from typing import Annotated
from pydantic import Field
from callsmith import BaseTask, Context, Example, FunctionPack, Problem, function
from callsmith.errors import DataError
from callsmith.verifiers import NumberVerifier
"""

GOOD = """
FACTORS = {"cm": 1, "m": 100, "km": 100_000}

@function(examples=[{"value": 3, "unit": "km"}], inline=True)
def centimetres(value: float, unit: str) -> float:
    '''Give a length in centimetres.'''
    if unit not in FACTORS:
        raise ValueError(f"there is no unit {unit[:20]!r}: there are {', '.join(FACTORS)}")
    return value * FACTORS[unit]  # infinite at times, which is the argument's fault

@function(examples=[{"start": "2024-02-27", "end": "2024-03-02"}], inline=True)
def days(start: date, end: date) -> int:
    '''Count the days between two dates.'''
    return (end - start).days

@function(examples=[Example({"word": "cat"}, Problem("A cat sat."), ["dog"])])
def seen(word: Annotated[str, Field(max_length=50)], context: Context) -> bool:
    '''Say whether a word is in the problem, and remember it.'''
    context.state = [*(context.state or [])[:20], word]
    return word in context.problem.question

class Sums(BaseTask):
    name = "sums"
    functions = (centimetres,)
    verifier = NumberVerifier()

    def problems(self, split):
        return [Problem(f"How many cm are {n} m?", 100 * n) for n in range(5)]

class Needy(Sums):
    def __init__(self, data=None):
        if data is None:
            raise DataError("the folder with the data is not given")

pack = FunctionPack("lengths", [centimetres, days, seen])
"""

BAD = """

CALLS = []

@function(examples=[{"text": "hello"}])
def dies(text: str) -> str:
    '''End the process of whoever gives a long text.'''
    if len(text) > 1_000:
        os._exit(3)
    return text[:10]

@function(examples=[{"n": 3}], inline=True, timeout=1)
def endless(n: int) -> int:
    '''Count to n, which is not bounded.'''
    while n < 0 or n > 10**9:
        pass
    return n

@function(examples=[{"text": "a"}])
def unfit(text: str):
    '''Give a set for some texts.'''
    return {text} if "(" in text else text[:10]

@function(examples=[{"key": "a"}])
def curt(key: str) -> int:
    '''Look up a key.'''
    return {"a": 1}[key]

@function(examples=[{"key": "a"}])
def inside(key: str) -> str:
    '''Look up a key.'''
    return {"a": "b"}.get(key).upper()

@function(examples=[{"n": 1}])
def moody(n: float) -> int:
    '''Count the calls.'''
    CALLS.append(n)
    return len(CALLS)

@function(examples=[{"n": 0}])
def failing(n: float) -> float:
    '''Divide by n.'''
    return 1 / n

@function
def unshown(n: float) -> float:
    '''Give n.'''
    return n

@function(examples=[{"value": 1}], inline=True)
def answer(value: int) -> int:
    '''Answer.'''
    return value

class Sums(BaseTask):
    name = "sums"
    verifier = NumberVerifier()
    def problems(self, split):
        return [Problem("1 + 1?", "two")]

class Needy(Sums):
    def __init__(self):
        raise RuntimeError("broken")

pack = FunctionPack("bad", [
    dies, endless, unfit, curt, inside, moody, failing, unshown, answer
])
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.split("_")[0] in ("lengths", "bad", "heavy", "mine"):
            del sys.modules[name]


def project(folder: Path, name: str, code: str) -> Path:
    (folder / "src").mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name))
    (folder / "src" / f"{name}_plugin.py").write_text(PLUGIN.format(name=name))
    (folder / "src" / f"{name}_pack.py").write_text(HEAD + code)
    return folder


def why(report: Report) -> dict[str, str]:
    return {check.name: check.why for check in report.failed}


def test_a_sound_project_passes_without_being_installed(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    before = sys.path[:]
    report = check_pack(
        project(tmp_path, "lengths", GOOD), fuzz=60, progress=lambda *args: told.append(args)
    )
    report.raise_if_failed()
    assert sys.path == before
    assert report.subject == "pack lengths"
    seen = {check.name: check.why for check in report.checks}
    assert seen["functions survive a fuzz within their limits"].startswith(
        "180 valid and 180 invalid argument sets, seed 0"
    )
    assert seen["task lengths-sums: gold answers are judged correct"] == "5 gold answers"
    (skipped,) = (c for c in report.skipped if c.name == "task lengths-none")
    assert skipped.why == (
        "the folder with the data is not given; try callsmith check-task lengths-none -O KEY=VALUE"
    )
    assert (360, 360) in {(done, total) for _, done, total in told}


def test_everything_that_is_wrong_is_found_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "INLINE_LIMIT", 1.0)
    found = why(check_pack(project(tmp_path, "bad", BAD), fuzz=60))
    survival = found["functions survive a fuzz within their limits"]
    assert "crash: dies ended its process with status 3" in survival
    assert "endless(n=" in survival
    assert "ended in timeout, and it is inline" in survival
    results = found["results are JSON values of a bounded size"]
    assert "unfit gave something that is no JSON value: Object of type set" in results
    faults = found["fault messages help"]
    assert "is answered with what says too little: curt: '" in faults
    assert found["the same problem, state and arguments give the same result"].startswith(
        "moody gave two different results"
    )
    assert "function_error: failing: division by zero" in found["every example runs"]
    assert found["every function is described, with an example"].startswith(
        "unshown has no example: write @function("
    )
    assert found["its names clash with no other plugin's"] == (
        "answer is the name of a built-in function: rename it"
    )
    assert "is judged wrong" in found["task bad-sums: gold answers are judged correct"]
    assert "broken" in found["task bad-none"]


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a heavy package for which an empty file may stand, until the test is over."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield "langgraph"
    sys.modules.pop("langgraph", None)


def test_a_heavy_import_is_named(tmp_path: Path, heavy: str) -> None:
    folder = project(tmp_path, "heavy", f"import {heavy}\n" + GOOD)
    (folder / "src" / f"{heavy}.py").write_text("")
    found = why(check_pack(folder, fuzz=0))
    assert found["importing it is light"].startswith(f"it imports {heavy}: import them inside")


def test_a_file_is_measured_whatever_module_has_its_name(tmp_path: Path, heavy: str) -> None:
    file = tmp_path / "statistics.py"
    file.write_text(f"import {heavy}\n" + HEAD + GOOD)
    (tmp_path / f"{heavy}.py").write_text("")
    found = why(check_pack(file, fuzz=0))
    assert found["importing it is light"].startswith(f"it imports {heavy}: import them inside")


def test_a_pack_object_with_a_schema_that_is_none() -> None:
    wrong = {"type": "object", "properties": {"a": {"type": "nubmer"}}}
    pack = FunctionPack("mine", [Function("f", "", wrong, target=len)])
    found = why(check_pack(pack, fuzz=0))
    assert "'nubmer'" in found["schemas are valid (JSON Schema 2020-12)"]
    assert found["every function is described, with an example"].splitlines()[0] == (
        "f has no description"
    )


def test_what_is_no_pack_is_said(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="there is no function pack 'mth'; did you mean math"):
        check_pack("mth")
    with pytest.raises(PluginError, match="names no plugin under"):
        check_pack(tmp_path)
    (tmp_path / "mine_empty.py").write_text("x = 1\n")
    with pytest.raises(PluginError, match="has no functions: write a typed one"):
        check_pack(tmp_path / "mine_empty.py")
    (tmp_path / "mine_wrong.py").write_text("def f(:\n")
    with pytest.raises(PluginError, match=r"mine_wrong\.py, line 1: invalid syntax"):
        check_pack(tmp_path / "mine_wrong.py")


def test_the_command_checks_a_file_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine_functions.py").write_text(HEAD + GOOD)
    assert not callsmith(["check-pack", "mine_functions.py", "--fuzz", "5"], standalone_mode=False)
    assert "pack mine_functions: " in capsys.readouterr().out
    Path("mine_bad.py").write_text(HEAD + BAD)
    command = ["check-pack", "mine_bad.py", "--fuzz", "0", "--json"]
    assert callsmith(command, standalone_mode=False) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["every example runs"] == "failed"
    assert outcomes["fault messages help"] == "skipped"


# ---- the pytest plugin --------------------------------------------------------------------------

TESTS = """
import pytest

@pytest.mark.callsmith_pack("{folder}", fuzz=5)
def test_mine(pack_check):
    pack_check()
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Found through its entry point where it is installed; others' plugins take long to import.
    plugins = ["-p", "callsmith.pytest_plugin", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", *plugins, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_the_plugin_is_installed() -> None:
    (point,) = (p for p in metadata.entry_points(group="pytest11") if p.name == "callsmith")
    assert point.value == "callsmith.pytest_plugin"


def test_with_the_plugin_each_check_is_a_test(tmp_path: Path) -> None:
    folder = project(
        tmp_path, "lengths", GOOD.replace("@function(examples=[Example", "@function() #")
    )
    tests = folder / "test_it.py"
    tests.write_text(TESTS.format(folder=folder))
    done = pytest_in(folder, "-v", "--strict-markers", "test_it.py")
    assert "test_mine[importing it is light] PASSED" in done.stdout
    assert "test_mine[task lengths-sums] PASSED" in done.stdout
    assert "test_mine[task lengths-none] SKIPPED (the folder with the data" in done.stdout
    assert "test_mine[every function is described, with an example] FAILED" in done.stdout
    assert "seen has no example: write @function" in done.stdout
    tests.write_text("def test_it(pack_check): ...\n")
    done = pytest_in(folder, "test_it.py")
    assert "name the pack with @pytest.mark.callsmith_pack(NAME)" in done.stdout + done.stderr


def test_unused_the_plugin_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    mine = {name for name in sys.modules if name.startswith('callsmith')}\n"
        "    assert mine == {'callsmith', 'callsmith.pytest_plugin'}\n"
        "    assert not {'pydantic', 'jsonschema'} & set(sys.modules)\n"
    )
    assert pytest_in(tmp_path).returncode == 0
