"""A package that ``callsmith new-pack`` made, installed in a fresh environment and used there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fresh_venv import FreshVenv

MINE = '''
"""Words."""

from callsmith import function


@function(examples=[{"text": "a hen"}], inline=True)
def words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())
'''
PROBLEMS = """{"question": "How many words has 'a hen and an egg'?", "answer": 5}
{"question": "How many words has 'hen'?", "answer": 1}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the worked package, called shop, and one of plain files, called words-of."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "mine.py").write_text(MINE.lstrip())
    (folder / "mine.jsonl").write_text(PROBLEMS)
    for made in ("shop --with-task", "words-of --from mine.py --problems mine.jsonl"):
        command = [sys.executable, "-m", "callsmith", "new-pack", *made.split()]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def venv(work: Path) -> FreshVenv:
    """The environment with both installed, each by the command that its README says."""
    made = FreshVenv(work / "venv")
    for name in ("shop", "words-of"):
        made.run("pip install --quiet -e '.[test]'", work / name)
    return made


@pytest.mark.parametrize("name", ["shop", "words-of"])
def test_its_own_tests_are_green(venv: FreshVenv, work: Path, name: str) -> None:
    assert " passed" in venv.run("pytest -p no:cacheprovider", work / name)


def test_its_functions_and_its_task_are_there_at_once(venv: FreshVenv, work: Path) -> None:
    assert "price(item='tea') -> 2.5" in venv.run("callsmith functions shop", work)
    shown = venv.run("callsmith ask -t shop --problem 1 -m reference -f shop", work)
    assert "total(prices=[0.6, 0.4], counts=[2, 1]) → 1.6" in shown
    assert "answer 1.6  correct" in shown
    listed = venv.run("callsmith functions 'words-of.*' --json", work)
    assert '"name": "words-of.words"' in listed
    assert "gold 5" in venv.run("callsmith tasks words-of", work)


def test_it_is_linted_and_typed(work: Path) -> None:
    tools = (
        ("ruff", "check", "--isolated", "--select", "E,F,I,UP,B,RUF", "--line-length", "100"),
        ("ruff", "format", "--isolated", "--check", "--line-length", "100"),
    )
    for name in ("shop", "words-of"):
        for tool in tools:
            done = subprocess.run(
                [sys.executable, "-m", *tool, "."],
                cwd=work / name,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout
