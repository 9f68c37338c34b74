"""Packs as third parties write them, with the documentation alone: installed, checked, used.

They are in ``thirdparty/``: functions only (units), a task with a verifier of its own and a state
for each chain (cards), and functions that run what a model writes, within limits (sql).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKS = ("cards", "sql", "units")
SHOP = "database: shop"


class Site:
    """A folder with the three packs installed, which commands see beside what else there is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Built from a copy: whatever a build writes, it does not write it here.
        self.sources = folder / "sources"
        shutil.copytree(
            HERE / "thirdparty", self.sources, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
        projects = [str(self.sources / f"callsmith-{name}") for name in PACKS]
        offline = ("--no-deps", "--no-build-isolation", "--no-index")
        target = ("--target", str(folder / "installed"))
        self.python("-m", "pip", "install", "--quiet", *offline, *target, *projects)

    def python(self, *arguments: str, cwd: Path | None = None, given: str = "") -> str:
        """What a Python process prints; fails unless it exits with 0."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": str(self.folder / "installed")},
            cwd=cwd or self.folder,
            input=given,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def callsmith(self, *arguments: str) -> Any:
        """What a command says in JSON."""
        return json.loads(self.python("-m", "callsmith", *arguments, "--json"))

    def chains(self, pack: str, context: str, *scripts: Sequence[str]) -> list[dict[str, Any]]:
        """Chains of models that make these turns, all at the same time."""
        asked = {"functions": [f"{pack}.*"], "question": "?", "context": context}
        given = json.dumps({**asked, "scripts": scripts})
        script = str(HERE / "support" / "scripted_chains.py")
        chains: list[dict[str, Any]] = json.loads(self.python(script, given=given))
        return chains


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


# ---- all three -----------------------------------------------------------------------------------


def test_what_they_provide_is_listed(site: Site) -> None:
    plugins = {plugin["name"]: plugin for plugin in site.callsmith("plugins")["plugins"]}
    provided = {name: plugins[name]["provides"] for name in PACKS}
    assert provided == {
        "cards": {"functions": ["cards"], "tasks": ["cards"]},
        "sql": {"functions": ["sql"], "tasks": ["sql"]},
        "units": {"functions": ["units"]},
    }
    assert all(plugins[name]["distribution"] == f"callsmith-{name}" for name in PACKS)
    functions = {found["name"] for found in site.callsmith("functions", *PACKS)}
    assert functions == {
        *("cards.look", "cards.draw", "cards.bury", "cards.stand"),
        *("sql.tables", "sql.schema", "sql.query", "sql.value"),
        *("units.convert", "units.units", "units.days_between", "units.add_to_date"),
        *("units.weekday", "units.minutes_between"),
    }
    tasks = {task["name"]: task["splits"] for task in site.callsmith("tasks")}
    assert tasks["cards"] == tasks["sql"] == ["train", "test"]


@pytest.mark.parametrize("name", PACKS)
def test_the_kit_finds_nothing_wrong(site: Site, name: str) -> None:
    report = site.callsmith("check-pack", name, "--fuzz", "60")
    assert {check["outcome"] for check in report["checks"]} == {"passed"}


@pytest.mark.parametrize("task", ["cards", "sql"])
def test_the_kit_for_tasks_passes_on_the_other_split(site: Site, task: str) -> None:
    report = site.callsmith("check-task", task, "--split", "test")
    assert {check["outcome"] for check in report["checks"]} == {"passed"}


def test_their_own_tests_are_green(site: Site) -> None:
    # Each pack has a test_pack.py: the names of the files alone would clash.
    options = ("-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", ".")
    passed = site.python("-m", "pytest", *options, cwd=site.sources)
    assert all(f"callsmith-{name}/tests/test_pack.py" in passed for name in PACKS)


# ---- units ---------------------------------------------------------------------------------------


def test_a_model_is_told_how_to_mend_its_call(site: Site) -> None:
    calls = {
        "convert(value=26, unit='miles', to='km')": 41.842944,
        "convert(value=26, unit='milse', to='km')": "did you mean mile",
        "convert(value=26, unit='mi', to='kg')": "convert mi to one of m, km",
        "units(dimension='width')": "'dimension' is wrong: 'width' is not one of",
        "days_between(start='2023-02-29', end='2024-03-01')": "'start' is wrong",
        "add_to_date(day='2024-01-31', amount=1, period='months')": "2024-02-29",
        "minutes_between(start='9 pm', end='06:40')": "write HH:MM",
    }
    [chain] = site.chains("units", "", [*calls, "answer(value=0)"])
    for given, (call, expected) in zip(chain["results"], calls.items(), strict=False):
        assert expected in given if isinstance(given, str) else expected == given, call


# ---- cards ---------------------------------------------------------------------------------------


def test_references_win_and_attempts_do_not_see_each_other(site: Site) -> None:
    run = ("--run", "games", "--home", str(site.folder / "home"))
    made = site.callsmith(
        "teach", "-t", "cards", "-m", "reference", "--attempts", "3", "-j", "12", *run
    )
    assert (made["chains"], made["accuracy"], made["grounded"]) == (12, 1.0, 1.0)
    file = site.folder / "games.jsonl"
    site.callsmith("export", "games", str(file), "--home", str(site.folder / "home"))
    for line in file.read_text().splitlines():
        chain = json.loads(line)
        deck = chain["problem"]["context"].split("deck: ")[1].splitlines()[0].split()
        # The first call looks: nothing was played yet, whatever the other attempts have played.
        assert chain["steps"][0]["results"][0]["value"]["deck"] == deck
        assert chain["verdict"]["correct"]


def test_two_chains_at_the_same_time_have_a_game_each(site: Site) -> None:
    greedy, careful = site.chains(
        "cards",
        "target: 17\ndeck: 9 K 8 5\nburies: 1",
        ["draw()", "draw()", "draw()", "stand()", "answer(value=17)"],
        ["draw()", "bury()", "draw()", "stand()", "answer(value=17)"],
    )
    assert "worth 19, too much" in greedy["results"][2]
    assert greedy["results"][3] == 19
    assert careful["results"][3] == 17
    assert greedy["state"]["cards"]["hand"] == ["9", "K"]
    assert careful["state"]["cards"]["hand"] == ["9", "8"]


# ---- sql -----------------------------------------------------------------------------------------


def test_references_find_the_answers_in_the_database(site: Site) -> None:
    home = ("--home", str(site.folder / "home"))
    made = site.callsmith("teach", "-t", "sql", "-m", "reference", "--run", "questions", *home)
    assert (made["chains"], made["accuracy"], made["grounded"]) == (5, 1.0, 1.0)


ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
MANY = ", ".join(f"orders o{n}" for n in range(12))
READ_ONLY = "the database can only be read"
TOO_LONG = "the query takes too long"
HOSTILE = {
    # What writes, or leads out of the database, is refused before it runs.
    "INSERT INTO products VALUES (9, 'x', 1)": READ_ONLY,
    "UPDATE products SET cents = 0": READ_ONLY,
    "WITH x AS (SELECT 1) DELETE FROM orders": READ_ONLY,
    "REPLACE INTO products VALUES (1, 'x', 1)": READ_ONLY,
    "DROP TABLE orders": READ_ONLY,
    "CREATE TEMP TABLE t (x)": READ_ONLY,
    "CREATE VIRTUAL TABLE t USING fts5 (x)": READ_ONLY,
    "BEGIN EXCLUSIVE": READ_ONLY,
    "ATTACH 'stolen.db' AS stolen": READ_ONLY,
    "VACUUM INTO 'stolen.db'": READ_ONLY,
    "PRAGMA writable_schema = ON": READ_ONLY,
    "SELECT * FROM pragma_database_list": READ_ONLY,
    "SELECT load_extension('evil.so')": "function load_extension is not offered",
    "SELECT readfile('/etc/passwd')": "no such function",
    # Several statements.
    "SELECT 1; DROP TABLE orders": "one statement for each call",
    "SELECT 1; SELECT 2": "one statement for each call",
    # What has no end, or none that anybody would live to see, is stopped by a count of its steps.
    ENDLESS + "SELECT count(*) FROM n": TOO_LONG,
    ENDLESS + "SELECT max(i) FROM n": TOO_LONG,
    f"SELECT count(*) FROM {MANY}": TOO_LONG,
    f"SELECT * FROM {MANY} ORDER BY o0.day": TOO_LONG,
    # What takes its time within one step, or its memory, is stopped with its process.
    "SELECT instr(printf('%0900000d', 0), printf('%0400000d', 1))": "longer than 3",
    "WITH RECURSIVE t (x) AS (SELECT printf('%0900000d', 1) UNION ALL SELECT x || '' FROM t) "
    "SELECT x FROM t ORDER BY x": "more than 256 MiB",
    # What gives too much.
    ENDLESS + "SELECT i FROM n": "more than 50 rows",
    "SELECT o0.id FROM orders o0, orders o1, orders o2": "more than 50 rows",
    "SELECT randomblob(1000000000)": "function randomblob is not offered",
    "SELECT zeroblob(1000000000)": "function zeroblob is not offered",
    "SELECT replace(printf('%0900000d', 0), '0', 'many')": "too long: take a part",
    "SELECT " + "(" * 900 + "1" + ")" * 900: "parser stack overflow",
    "SELECT " + "1 + " * 1000 + "1": "'sql' is wrong",
    # What differs from time to time.
    "SELECT random()": "function random is not offered",
    "SELECT CURRENT_TIMESTAMP": "function current_timestamp is not offered",
    # What looks hostile and is not.
    ENDLESS + "SELECT i FROM n LIMIT 2": [[1], [2]],
    "SELECT name FROM products WHERE name = '''; DROP TABLE orders; --'": [],
    "SELECT 9e999, x'00ff', NULL;": [["inf", "00ff", None]],
}


@pytest.fixture(scope="module")
def outcomes(site: Site) -> dict[str, Any]:
    """What each hostile query came to, all in one chain, and then a look at the database."""
    turns = [f"query(sql={sql!r})" for sql in (*HOSTILE, "SELECT count(*) FROM orders")]
    [chain] = site.chains("sql", SHOP, [*turns, "answer(value=6)"])
    assert (chain["stop"], chain["results"][-2]) == ("answer", [[6]])
    return dict(zip(HOSTILE, chain["results"], strict=False))


@pytest.mark.parametrize(("sql", "expected"), HOSTILE.items())
def test_a_hostile_query_is_refused_or_bounded(
    outcomes: dict[str, Any], sql: str, expected: Any
) -> None:
    if isinstance(expected, str):
        assert expected in outcomes[sql]
    else:
        assert outcomes[sql] == expected


def test_no_query_left_a_file_behind(site: Site, outcomes: dict[str, Any]) -> None:
    assert not list(site.folder.rglob("stolen*"))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("CREATE TABLE t (x); ATTACH 'stolen.db' AS stolen;", "can't be made: not authorized"),
        (f"CREATE TABLE t (x); INSERT INTO t {ENDLESS} SELECT i FROM n;", "can't be made"),
        ("SELECT 1;", "no database"),
        ("database: ../../shop", "no database"),
    ],
)
def test_a_hostile_problem_is_refused_as_well(site: Site, script: str, expected: str) -> None:
    [chain] = site.chains("sql", script, ["tables()", "answer(value=0)"])
    assert expected in chain["results"][0]
