"""The whole pipeline with the models that come with callsmith: real chains, a real trainer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """
name = "small"
description = "a small run of everything"
task = "wordproblems"
dialect = "text"
max_tokens = 48
steps = 12

[[teach]]
run = "samples"
model = "tiny:student"
limit = 40
attempts = 4
temperature = 1.0

[[pairs]]
name = "preferences"
runs = ["samples"]
config = { per_problem = 2, chosen = "random" }

[[train]]
name = "dpo"
student = "tiny:student"
pairs = "preferences"
config = { beta = 1.0, learning_rate = 1e-4, steps = 6, batch_size = 8, checkpoint_every = 2 }

[[train]]
name = "sft"
trainer = "sft"
student = "tiny:student"
pairs = "preferences"
equal_steps_to = "dpo"
config = { learning_rate = 1e-4, batch_size = 8, checkpoint_every = 2 }

[[eval]]
split = "test"
limit = 40
baseline = "before"
models = [
  { label = "teacher", model = "tiny:teacher" },
  { label = "before", model = "tiny:student" },
  { label = "without", model = "tiny:student", functions = [] },
  { label = "dpo", model = "dpo" },
  { label = "sft", model = "sft" },
]
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "callsmith", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CALLSMITH_HOME": str(folder / "home")},
    )


def run(folder: Path, *arguments: str) -> str:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipe was killed four times, wherever it was, and then run to its end."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "small.toml").write_text(RECIPE)
    for seconds in (5, 8, 11, 14):
        process = start(folder, "run", "small.toml")
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    run(folder, "run", "small.toml")
    return folder


def test_a_recipe_that_was_killed_ends_whole_with_nothing_doubled(folder: Path) -> None:
    with sqlite3.connect(folder / "home" / "callsmith.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = dict(
            db.execute(
                "SELECT name, count(*) FROM chains JOIN runs ON runs.id = run GROUP BY name"
            ).fetchall()
        )
    judged = ("teacher", "before", "without", "dpo", "sft")
    assert counts == {"samples": 160, **{f"eval-small-{label}": 40 for label in judged}}


def test_a_recipe_that_is_done_makes_nothing_new(folder: Path) -> None:
    with sqlite3.connect(folder / "home" / "callsmith.db") as db:
        before = db.execute("SELECT count(*), max(id) FROM chains").fetchone()
    trained = (folder / "home" / "models" / "dpo" / "callsmith.json").stat().st_mtime_ns
    assert "report" in run(folder, "run", "small.toml")
    with sqlite3.connect(folder / "home" / "callsmith.db") as db:
        assert db.execute("SELECT count(*), max(id) FROM chains").fetchone() == before
    assert (folder / "home" / "models" / "dpo" / "callsmith.json").stat().st_mtime_ns == trained


def test_the_outcome_shows_the_models_as_they_are(folder: Path) -> None:
    outcome = json.loads((folder / "home" / "outcomes" / "small.json").read_text())
    accuracy = {label: found["accuracy"] for label, found in outcome["evaluations"].items()}
    assert accuracy["teacher"] > 0.8
    assert 0.4 < accuracy["before"] < 0.8
    assert accuracy["without"] < 0.2
    assert outcome["trained"]["dpo"]["steps"] == outcome["trained"]["sft"]["steps"] == 6
    assert set(outcome["comparisons"]) == {"teacher", "without", "dpo", "sft"}


def test_the_report_is_one_page_without_network(folder: Path) -> None:
    page = (folder / "home" / "reports" / "small.html").read_text()
    for label in ("teacher", "before", "without", "dpo", "sft"):
        assert label in page
    assert "<svg" in page
    assert 'src="http' not in page
    assert "<script" not in page


def test_a_model_is_not_judged_on_what_it_was_trained_on(folder: Path) -> None:
    process = start(folder, "eval", "-t", "wordproblems", "-m", "dpo", "--split", "train")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "dpo was trained on" in err
    assert "Traceback" not in err


def test_problems_that_were_judged_on_make_no_pairs(folder: Path) -> None:
    process = start(folder, "pairs", "cheating", "samples", "eval-small-before")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert "judge" in err or "evaluation" in err
