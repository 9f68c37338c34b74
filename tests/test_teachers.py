"""A night with a local teacher: a real server, real problems, and everything that can be killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from llama_server import Server

PROBLEMS, ATTEMPTS = 200, 4

RECIPE = """
name = "keys"
task = "wordproblems"

[[eval]]
models = [{{ label = "served", model = "{model}", model_options = {{ key_env = "MY_KEY" }} }}]
split = "test"
limit = 8
dialect = "text"
shots = 0
"""


@pytest.fixture
def server(tiny_gguf: Path) -> Iterator[Server]:
    with Server(tiny_gguf, parallel=16, context=2048) as server:
        yield server


@pytest.fixture
def teach(server: Server, data: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Starts ``callsmith teach`` over GSM8K; what still runs at the end is killed."""
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        command = f"-m callsmith teach -t gsm8k -O data={data}/gsm8k -n {PROBLEMS} --run night"
        command += f" -m openai:tiny@{server.url} --attempts {ATTEMPTS} --temperature 1 --shots 0"
        command += f" --dialect text --max-tokens 48 --steps 6 -j 32 --home {tmp_path}"
        out = (tmp_path / "said").open("a")
        process = subprocess.Popen([sys.executable, *command.split()], stdout=out, stderr=out)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def recorded(home: Path) -> int:
    try:
        with sqlite3.connect(home / "callsmith.db", timeout=30) as db:
            return db.execute("SELECT count(*) FROM chains").fetchone()[0]
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for(chains: int, home: Path, running: subprocess.Popen) -> None:
    while recorded(home) < chains:
        assert running.poll() is None, (home / "said").read_text()
        time.sleep(0.05)


def test_a_night_over_gsm8k_with_a_teacher_that_dies_twice_and_a_callsmith_that_dies_once(
    server: Server, teach: Callable[[], subprocess.Popen], tmp_path: Path
) -> None:
    running = teach()
    wait_for(100, tmp_path, running)
    server.kill()
    time.sleep(1)  # long enough for every chain in flight to find out
    before = recorded(tmp_path)
    server.start()
    wait_for(before + 100, tmp_path, running)
    running.kill()
    running.wait()
    running = teach()
    wait_for(before + 250, tmp_path, running)
    server.kill()
    server.start()
    assert running.wait(timeout=600) == 0, (tmp_path / "said").read_text()

    with sqlite3.connect(tmp_path / "callsmith.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        made = db.execute("SELECT problem, attempt, count(*) FROM chains GROUP BY 1, 2").fetchall()
    assert len(made) == PROBLEMS * ATTEMPTS
    assert {count for *_, count in made} == {1}
    said = (tmp_path / "said").read_text()
    assert f"{PROBLEMS * ATTEMPTS} chains over {PROBLEMS} problems" in said
    assert "Traceback" not in said


def test_a_key_is_in_no_file_no_message_no_report_and_no_command_line(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    key = "sk-callsmith-0123456789abcdef"
    with Server(tiny_gguf, api_key=key) as server:
        model = f"-t wordproblems -m openai:tiny@{server.url} --dialect text --shots 0 --steps 8"
        home = tmp_path / "home"

        def callsmith(command: str, key: str) -> str:
            """What a command says, on whichever stream, while nothing that runs shows the key."""
            environment = {**os.environ, "MY_KEY": key}
            started = subprocess.Popen(
                [sys.executable, "-m", "callsmith", *command.split(), "--home", str(home)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
            while started.poll() is None:
                for line in Path("/proc").glob("[0-9]*/cmdline"):
                    with suppress(OSError):
                        assert key.encode() not in line.read_bytes()
                time.sleep(0.1)
            return started.communicate()[0]

        said = callsmith(f"teach {model} -n 8 -o key_env=MY_KEY --run r", key)
        assert "8 chains over 8 problems" in said
        said += callsmith(f"ask --problem 0 {model} -o key_env=MY_KEY", key)
        assert "wants a key" in callsmith(f"ask --problem 0 {model}", key)
        wrong = callsmith(f"teach {model} -n 8 -o key_env=MY_KEY --run w", f"{key}-not")
        assert wrong.startswith("Error: ")
        recipe = RECIPE.format(model=f"openai:tiny@{server.url}")
        (tmp_path / "keys.toml").write_text(recipe)
        said += wrong + callsmith(f"run {tmp_path}/keys.toml", key) + callsmith("show r", key)
    assert key not in said
    files = [file for file in home.rglob("*") if file.is_file()]
    assert {".db", ".html"} <= {file.suffix for file in files}
    assert all(key.encode() not in file.read_bytes() for file in files)
