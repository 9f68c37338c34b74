from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from callsmith import tables
from callsmith.chain import (
    Call,
    Chain,
    Fault,
    PreferencePair,
    Problem,
    Result,
    Setup,
    Step,
    Usage,
    Verdict,
)
from callsmith.errors import StoreError
from callsmith.store import Run, Store, home_folder

IDENTITY = {"task": "sums", "split": "train", "model": "tiny:teacher", "seed": 0}
PROBLEMS = [Problem(f"What is {n} + 1?", gold=n + 1, id=str(n)) for n in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as opened:
        yield opened


def begin(store: Store, name: str = "a", **identity: object) -> Run:
    return store.begin(name, {**IDENTITY, **identity}, {"attempts": 2}, {}, {"callsmith": "0.1.0"})


def record(problem: Problem, attempt: int = 0, correct: bool = True) -> tuple[Chain, Verdict]:
    """A chain with a bit of everything in it."""
    steps = (
        Step("add(a=", fault=Fault("unparsable", "a ')' is missing"), usage=Usage(10, 5)),
        Step(
            "add(a=1, b=1)",
            (Call("add", {"a": 1, "b": 1}),),
            (Result(2, seconds=0.5),),
            usage=Usage(20, 5),
            state={"board": [1, 2]},
        ),
        Step("answer(value=2)", (Call("answer", {"value": 2}),), (Result(2),)),
    )
    setup = Setup("tiny:teacher", "sums", "train", "text", plugins={"callsmith": "0.1.0"})
    chain = Chain(problem, setup, steps, "answer", 2, "a", attempt, 7, "2026-01-01T00:00:00", 1.5)
    return chain, Verdict(correct, float(correct), "" if correct else "2 is not 3", correct)


def test_what_is_recorded_comes_back_unchanged(store: Store) -> None:
    run = begin(store)
    made = [record(problem, attempt, attempt == 0) for problem in PROBLEMS for attempt in (1, 0)]
    assert store.add(run, made) == 10
    by_key = sorted(made, key=lambda one: (one[0].problem.key, one[0].attempt))
    assert list(store.records(run)) == by_key
    assert list(store.records(run, correct=True)) == [one for one in by_key if one[1].correct]
    assert store.run("a").identity == IDENTITY


def test_pages_are_read_without_gap_or_double(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.store.PAGE", 2)
    run = begin(store)
    store.add(run, [record(problem, attempt) for problem in PROBLEMS for attempt in range(2)])
    found = [(chain.problem.key, chain.attempt) for chain, _ in store.records(run)]
    assert found == sorted((problem.key, attempt) for problem in PROBLEMS for attempt in range(2))


def test_reading_goes_on_while_another_connection_writes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.store.PAGE", 1)
    run = begin(store)
    store.add(run, [record(problem) for problem in PROBLEMS])
    with Store(store.path.parent) as other:
        for chain, _ in store.records(run):
            other.add(run, [record(chain.problem, 1)])
    assert store.runs()[0].chains == 10


def test_a_chain_recorded_twice_stays_as_it_was_and_is_not_counted(store: Store) -> None:
    run = begin(store)
    store.add(run, [record(PROBLEMS[0], correct=True)])
    assert store.add(run, [record(PROBLEMS[0], correct=False), record(PROBLEMS[1])]) == 1
    assert [verdict.correct for _, verdict in store.records(run)] == [True, True]


def test_owed_are_the_missing_attempts_first_attempts_first(store: Store) -> None:
    run = begin(store)
    a, b, c, d, e = PROBLEMS
    store.add(run, [record(a, 0), record(a, 1), record(b, 1), record(d, 5)])
    store.settle(run, c.key)
    twice = [*PROBLEMS, e]
    assert store.owed(run, twice, 2) == [(b, 0), (d, 0), (e, 0), (d, 1), (e, 1)]
    assert store.owed(run, [a], 2) == []
    assert store.owed(run, [a], 3) == [(a, 2)]


def test_a_summary_tells_what_is_there_and_what_is_owed(store: Store) -> None:
    run = begin(store)
    store.owed(run, PROBLEMS, 2)
    store.add(run, [record(PROBLEMS[0], 0), record(PROBLEMS[0], 1, correct=False)])
    (summary,) = store.runs()
    assert (summary.name, summary.task, summary.model) == ("a", "sums", "tiny:teacher")
    assert (summary.chains, summary.problems, summary.correct) == (2, 1, 1)
    assert (summary.faults, summary.tokens, summary.seconds) == (2, 80, 3.0)
    assert (summary.owed, summary.state) == (8, "owed")
    store.finish(run)
    assert store.runs()[0].state == "complete"


def test_a_run_goes_on_under_another_config_but_not_under_another_identity(store: Store) -> None:
    begin(store, sampling={"temperature": 0.0, "stop": ("x",)})
    same = begin(store, sampling={"temperature": 0, "stop": ["x"]})
    again = store.begin("a", same.identity, {"attempts": 9}, {}, {"callsmith": "0.2.0"})
    assert again.config == {"attempts": 9} == store.run("a").config
    assert again.warnings == (
        'run \'a\' goes on with other plugins: callsmith was "0.1.0", now "0.2.0"',
    )
    store.add(again, [record(PROBLEMS[0])])
    with pytest.raises(StoreError) as error:
        begin(store, seed=1, sampling={"temperature": 0.7, "stop": ["x"]})
    assert str(error.value).startswith(
        "run 'a' exists with another configuration: "
        "seed was 0, now 1; sampling.temperature was 0.0, now 0.7; "
    )


def test_a_run_without_chains_takes_another_identity(store: Store) -> None:
    """A first start that came to nothing, for a wrong model or key, must not keep the name."""
    first = begin(store)
    store.owed(first, PROBLEMS, 1)
    prompt = {"messages": ["hi"]}
    mended = store.begin("a", {**IDENTITY, "model": "other"}, {"attempts": 1}, prompt, {"x": "2"})
    assert mended.id == first.id
    assert mended == store.run("a")
    assert (mended.identity["model"], mended.config) == ("other", {"attempts": 1})
    assert (mended.prompt, mended.plugins, mended.warnings) == (prompt, {"x": "2"}, ())
    assert [summary.model for summary in store.runs()] == ["other"]


def test_a_changed_prompt_is_named_by_its_parts(store: Store) -> None:
    run = store.begin("a", {"prompt": "1"}, {}, {"messages": ["old"], "tools": []}, {})
    store.add(run, [record(PROBLEMS[0])])
    with pytest.raises(StoreError, match=r"the prompt differs in messages\)"):
        store.begin("a", {"prompt": "2"}, {}, {"messages": ["new"], "tools": []}, {})


def test_an_unknown_run_or_pair_set_is_answered_with_the_nearest(store: Store) -> None:
    with pytest.raises(StoreError, match="there are none yet"):
        store.run("gsm8k-train")
    begin(store, "gsm8k-train")
    with pytest.raises(StoreError, match="did you mean gsm8k-train"):
        store.run("gsm8k-trian")
    with pytest.raises(StoreError, match="no pairs called 'x'"):
        store.pairs("x")


def test_a_chain_is_found_by_the_first_digits_of_its_key(store: Store) -> None:
    run = begin(store)
    store.add(run, [record(problem, 3) for problem in PROBLEMS])
    key = PROBLEMS[2].key
    assert store.chain(run, key[:8].upper(), 3)[0].problem == PROBLEMS[2]
    with pytest.raises(StoreError, match=f"no attempt 0 at problem {key}; there is 3"):
        store.chain(run, key)
    with pytest.raises(StoreError, match="5 problems whose key begins with ''"):
        store.chain(run, "")
    with pytest.raises(StoreError, match="no problem whose key begins with 'xyz'"):
        store.chain(run, "xyz")


def test_judging_again_uses_the_mended_gold_and_rewrites_no_chain(store: Store) -> None:
    run = begin(store)
    store.add(run, [record(problem, correct=False) for problem in PROBLEMS])
    documents = store._db.execute("SELECT * FROM documents").fetchall()
    mended = [replace(PROBLEMS[0], gold=2), replace(PROBLEMS[1], gold="2"), Problem("unknown")]
    changed = store.rescore(
        run, lambda problem, chain: Verdict(chain.answer == problem.gold), mended
    )
    assert (changed.chains, changed.mended) == (5, 2)
    assert (changed.to_correct, changed.to_wrong) == (1, 0)
    right = [chain.problem.gold for chain, _ in store.records(run, correct=True)]
    assert right == [2]
    assert store._db.execute("SELECT * FROM documents").fetchall() == documents


def test_tasks_do_not_share_gold_answers(store: Store) -> None:
    one, other = begin(store), begin(store, "b", task="other")
    store.add(one, [record(PROBLEMS[0])])
    store.add(other, [record(replace(PROBLEMS[0], gold="one"))])
    assert next(store.records(one))[0].problem.gold == 1
    assert next(store.records(other))[0].problem.gold == "one"


def test_pairs_are_kept_by_name_and_replaced_whole(store: Store) -> None:
    chain, _ = record(PROBLEMS[0])
    pairs = [
        PreferencePair(chain.problem, chain.steps[:1], chain.steps[1:], (chain.steps[0],), "fault"),
        PreferencePair(PROBLEMS[1], (), chain.steps, chain.steps[:2], support=3),
    ]
    store.save_pairs("p", [*pairs, *pairs], {"runs": ["old"]})
    store.save_pairs("p", pairs, {"runs": ["a"]})
    assert store.pairs("p") == pairs
    (known,) = store.pair_sets()
    assert (known.name, known.pairs, known.facts) == ("p", 2, {"runs": ["a"]})
    assert store.pair_set("p") == known


def test_a_batch_that_fails_leaves_nothing_behind(store: Store) -> None:
    run = begin(store)
    broken = replace(record(PROBLEMS[1])[0], seconds="soon")  # type: ignore[arg-type]
    with pytest.raises((StoreError, ValueError)):
        store.add(run, [record(PROBLEMS[0]), (broken, Verdict(True, score=None))])  # type: ignore[arg-type]
    assert list(store.records(run)) == []
    assert store.add(run, [record(PROBLEMS[0])]) == 1


def test_a_full_disk_is_one_sentence_and_loses_nothing_recorded(store: Store) -> None:
    run = begin(store)
    store.add(run, [record(PROBLEMS[0])])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="the disk is full"):
        store.add(run, [record(Problem("long " * 5000 + str(n))) for n in range(4)])
    assert len(list(store.records(run))) == 1


def test_a_file_that_may_not_be_written_is_one_sentence(store: Store) -> None:
    run = begin(store)
    store._db.execute("PRAGMA query_only = on")
    with pytest.raises(StoreError, match="can't be written: make it writable"):
        store.add(run, [record(PROBLEMS[0])])


def test_a_locked_file_is_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(store)
    monkeypatch.setattr(tables, "PATIENCE", 0.05)
    with Store(store.path.parent) as other:
        store._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="kept locked by another process"):
            other.settle(run, "a")


def test_files_that_are_not_this_store_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    with pytest.raises(StoreError, match="can't be made"):
        Store(tmp_path / "file" / "home")
    path = tmp_path / "callsmith.db"
    path.write_text("these are notes, not a database" * 40)
    with pytest.raises(StoreError, match="is not a callsmith store"):
        Store(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE recipes (name TEXT)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a callsmith store"):
        Store(tmp_path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_callsmith_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "callsmith.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match=r"newer callsmith \(format 99"):
        Store(tmp_path)


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSMITH_HOME", str(tmp_path))
    assert home_folder() == tmp_path
    assert home_folder(Path("given")) == Path("given")
    monkeypatch.delenv("CALLSMITH_HOME")
    assert home_folder() == Path(".callsmith")


WRITER = """
import sys
from pathlib import Path
from callsmith.chain import Chain, Problem, Verdict
from callsmith.store import Store

with Store(Path(sys.argv[1])) as store:
    run = store.begin("a", {}, {}, {}, {})
    problems = [Problem(f"question {n}") for n in range(50)]
    owed = store.owed(run, problems, 60)
    print(len(owed), flush=True)
    for start in range(0, len(owed), 7):
        batch = [(Chain(p, attempt=n), Verdict(True)) for p, n in owed[start : start + 7]]
        store.add(run, batch)
        print(start + len(batch), flush=True)
"""


def test_killed_at_any_moment_it_goes_on_with_nothing_lost_or_doubled(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    first = start()
    assert first.stdout is not None
    assert first.stdout.readline() == "3000\n"
    for _ in range(20):
        first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    told = 20 * 7 + 7 * len(first.stdout.readlines())
    first.wait()
    with Store(tmp_path) as store:
        run = store.run("a")
        recorded = store.runs()[0].chains
        assert told - 7 <= recorded < 3_000
        owed = store.owed(run, [Problem(f"question {n}") for n in range(50)], 60)
        assert len(owed) == 3_000 - recorded
    second = start()
    output, _ = second.communicate()
    assert output.splitlines()[0] == str(3_000 - recorded)
    with Store(tmp_path) as store:
        (summary,) = store.runs()
        assert (summary.chains, summary.problems, summary.state) == (3_000, 50, "complete")
        keys = {(chain.problem.key, chain.attempt) for chain, _ in store.records(store.run("a"))}
        assert len(keys) == 3_000


def test_processes_that_start_together_share_one_store(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from callsmith.store import Store\n"
        "sys.stdin.readline()\n"
        "with Store(Path(sys.argv[1])) as store: store.begin('a', {}, {}, {}, {})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in started] == [b""] * 4
    with Store(tmp_path / "home") as store:
        assert [run.name for run in store.runs()] == ["a"]
