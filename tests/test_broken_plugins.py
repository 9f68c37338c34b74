"""Plugins that fail in every way we know, installed on disk and met by the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributions import hook, install

MARK = "imported\n"
NOISE = """
import os
print("printed on import")
os.write(1, b"written on import\\n")
"""
THINGS = """
from callsmith.functions import FunctionPack
from callsmith.hookspecs import hookimpl

seven = 7
odd = FunctionPack("Holds no function.", [7])
empty = FunctionPack("Holds nothing.", None)

@hookimpl
def callsmith_functions():
    return {"odd": "things:odd", "empty": "things:empty", "loads": "json:loads"}

@hookimpl
def callsmith_tasks():
    return {"seven": "things:seven", "quits": "things:quit"}

@hookimpl
def callsmith_backends():
    return {"seven": "things:seven", "quits": "things:quit"}

@hookimpl
def callsmith_trainers():
    return {"seven": "things:seven"}

@hookimpl
def callsmith_commands():
    return {"seven": "things:seven", "gone": "no_such_module:it"}

def quit(*args, **options):
    raise SystemExit(0)
"""

HEAVY = "transformers,dpo,tiny"
"""Plugins of ours that --strict would take seconds to import."""

BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "fails": ({"code": "import no_such_module"}, "No module named 'no_such_module'", "reinstall"),
    "raises": ({"code": hook("tasks", x="a:b").replace("return", "1 / 0;")}, "Zero", "--upgrade"),
    "nonsense": ({"code": hook("tasks", x="y")}, "gave 'y' for 'x': 'module:attribute'", "upgrade"),
    "exits": ({"code": "import sys; sys.exit(0)"}, "SystemExit: 0", "--upgrade exits"),
    "future": ({"requires": "callsmith>=3"}, "it needs callsmith>=3", "--upgrade callsmith future"),
    "halved": ({"code": None}, "No module named 'halved'", "--force-reinstall halved"),
}
"""What is installed, a piece of the reason, and a piece of the remedy."""


def callsmith(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(folder), "CALLSMITH_HOME": str(folder / "home")}
    return subprocess.run(
        [sys.executable, "-m", "callsmith", *arguments],
        env=os.environ | environment | variables,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of BROKEN, and one that is well."""
    folder = tmp_path_factory.mktemp("broken")
    for name, (how, *_) in BROKEN.items():
        install(folder, name, **{"code": f"print({MARK!r})", **how})
    install(folder, "well", hook("tasks", well="callsmith.jsonl:JsonlTask"))
    return folder


def test_each_is_named_with_its_reason_and_the_way_out(broken: Path) -> None:
    listed = json.loads(callsmith(broken, "plugins", "--json").stdout)
    found = {one["distribution"]: (one["reason"], one["remedy"]) for one in listed["broken"]}
    assert found.keys() == BROKEN.keys()
    for name, (_, reason, remedy) in BROKEN.items():
        assert reason in found[name][0]
        assert remedy in found[name][1]
        assert f"CALLSMITH_DISABLE={name}" in found[name][1]
    shown = callsmith(broken, "plugins")
    assert shown.returncode == 0
    for reason, remedy in found.values():
        assert reason in shown.stdout
        assert remedy in shown.stdout
    assert "well" in shown.stdout


def test_everything_else_works(broken: Path) -> None:
    ask = "ask -t wordproblems --split test --problem 3 -m reference"
    asked = callsmith(broken, *ask.split())
    assert asked.returncode == 0, asked.stderr
    assert "correct" in asked.stdout
    assert callsmith(broken, "--help").returncode == 0
    assert "math.add" in callsmith(broken, "functions").stdout
    assert "well" in callsmith(broken, "tasks").stdout


def test_strict_makes_it_an_error(broken: Path, tmp_path: Path) -> None:
    for folder, code in ((broken, 2), (tmp_path, 0)):
        done = callsmith(folder, "plugins", "--strict", CALLSMITH_DISABLE=HEAVY)
        assert done.returncode == code


def test_the_disabled_are_not_imported_at_all(broken: Path) -> None:
    names = ",".join([*BROKEN, HEAVY])
    shown = callsmith(broken, "plugins", "--json", "--strict", CALLSMITH_DISABLE=names)
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["broken"] == []
    assert set(json.loads(shown.stdout)["disabled"]) >= BROKEN.keys()


def test_another_version_is_never_imported(broken: Path) -> None:
    shown = callsmith(broken, "plugins")
    assert MARK.strip() not in shown.stdout + shown.stderr


def test_metadata_that_is_half_gone_is_named_by_what_it_brings(tmp_path: Path) -> None:
    install(tmp_path, "rest", metadata=False)
    (found,) = json.loads(callsmith(tmp_path, "plugins", "--json").stdout)["broken"]
    assert "it brings rest, but its metadata lacks a name" in found["reason"]
    assert str(tmp_path) in found["remedy"]


def test_what_is_printed_on_import_never_reaches_a_program_that_reads(tmp_path: Path) -> None:
    install(tmp_path, "noisy", NOISE + hook("tasks", noisy="json:loads"))
    listed = callsmith(tmp_path, "plugins", "--json")
    assert "noisy" in {one["distribution"] for one in json.loads(listed.stdout)["plugins"]}
    assert "printed on import\n" in listed.stderr
    assert "written on import\n" in listed.stderr


def test_the_names_of_our_own_plugins_stay_theirs(tmp_path: Path) -> None:
    install(tmp_path, "thief", hook("tasks", gsm8k="json:loads", deduction="json:loads"))
    assert json.loads(callsmith(tmp_path, "tasks", "--json").stdout)
    shown = callsmith(tmp_path, "plugins", "--strict", CALLSMITH_DISABLE=HEAVY)
    assert shown.returncode == 2
    assert "'gsm8k' is claimed by thief (thief) and callsmith-math (math)" in shown.stdout
    assert "callsmith-math keeps it" in shown.stdout
    assert "callsmith-logic keeps it" in shown.stdout


def test_a_slow_one_is_named_with_its_time(tmp_path: Path) -> None:
    slow = "import time; time.sleep(0.3)\n" + hook("tasks", slow="json:loads")
    install(tmp_path, "sluggish", slow)
    shown = callsmith(tmp_path, "plugins")
    assert shown.returncode == 0
    assert "slow: sluggish 1.2 took 0." in shown.stdout
    assert "sluggish" in json.loads(callsmith(tmp_path, "plugins", "--json").stdout)["slow"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("functions odd.*", "7 is no function"),
        ("functions empty.*", "'NoneType' object is not iterable"),
        ("functions loads.*", "not a FunctionPack"),
        ("tasks seven", "it is 7, not a class or function that makes one"),
        ("tasks quits", "SystemExit: 0"),
        ("ask hello -m seven:x", "it is 7"),
        ("ask hello -m quits:x", "SystemExit: 0"),
        ("seven --help", "it is 7, not a click command"),
        ("gone", "try: pip install --force-reinstall things"),
    ],
)
def test_what_turns_out_wrong_on_use_ends_in_one_sentence(
    tmp_path: Path, command: str, expected: str
) -> None:
    install(tmp_path, "things", THINGS)
    done = callsmith(tmp_path, *command.split())
    assert done.returncode == 2
    assert expected in done.stderr
    assert "of plugin things 1.2 can't be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_list_goes_on_past_what_is_wrong_and_strict_finds_it(tmp_path: Path) -> None:
    install(tmp_path, "things", THINGS)
    assert "math.add" in callsmith(tmp_path, "functions").stdout
    assert "wordproblems" in callsmith(tmp_path, "tasks").stdout
    strict = callsmith(tmp_path, "plugins", "--strict", CALLSMITH_DISABLE=HEAVY)
    assert strict.returncode == 2
    assert strict.stderr.count("broken:") == 8
