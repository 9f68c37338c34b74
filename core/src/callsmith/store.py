"""Runs, chains, verdicts and pairs in one SQLite file, ``callsmith.db``.

What a call has returned is on disk: a killed process loses nothing of it, and a run resumes by
being started again. A power cut may take the last commits, whose chains are then owed again, but
never damages the file. Other processes may read, and write, meanwhile. A Store belongs to the
thread that made it. SQL is in `tables`, what is told of a run in `runs`; files for other
tools are `export`'s.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain as joined
from itertools import islice
from pathlib import Path
from typing import Any, Self

from callsmith import tables
from callsmith.chain import (
    JSON,
    Chain,
    PreferencePair,
    Problem,
    Verdict,
    dump,
    load_chain,
    load_pair,
    load_problem,
)
from callsmith.errors import StoreError
from callsmith.runs import PairSet, Rescored, Run, RunSummary, differences, nearest
from callsmith.values import write_json

__all__ = ["PairSet", "Rescored", "Run", "RunSummary", "Store", "home_folder"]

PAGE = 256
"""Chains read at a time: enough to be fast, few enough to be nothing in memory."""


def home_folder(given: Path | None = None) -> Path:
    """Where the store lives: the folder given, else CALLSMITH_HOME, else ``./.callsmith``."""
    return (given or Path(os.environ.get("CALLSMITH_HOME") or ".callsmith")).expanduser()


class Store:
    """The store in a home folder, made if it isn't there. Close it, or use it in a ``with``.

    Every method raises StoreError when the file can't be read or written: the disk is full or
    read-only, another process keeps it locked, it isn't callsmith's, or it is a newer one's.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "callsmith.db"
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {home} can't be made ({error.strerror}): choose another with --home"
            ) from error
        with self._explained():
            self._db = tables.connect(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    # ---- runs -----------------------------------------------------------------------------------

    def begin(
        self,
        name: str,
        identity: Mapping[str, JSON],
        config: Mapping[str, JSON],
        prompt: Mapping[str, JSON],
        plugins: Mapping[str, str],
    ) -> Run:
        """A new run, or the one of that name, to go on with.

        ``identity`` is what makes chains of one run comparable (task, split, model, dialect,
        sampling, hashes, seed); a run of that name with another one is refused with StoreError,
        the difference shown, unless it has no chains yet. ``config`` (limits, attempts,
        concurrency, URL) replaces the last one; other ``plugins`` versions give a warning.
        """
        identity, config, plugins = _plain(identity), _plain(config), _plain(plugins)
        with self._transaction():
            if self._db.execute("SELECT 1 FROM runs WHERE name = ?", [name]).fetchone() is None:
                columns = [identity.get(column, "") for column in ("task", "split", "model")]
                documents = map(write_json, (identity, config, prompt, plugins))
                self._db.execute(tables.ADD_RUN, [name, _now(), *columns, *documents])
                return self.run(name)
            run = self.run(name)
            if changed := differences(run.identity, identity):
                made = self._db.execute("SELECT 1 FROM chains WHERE run = ?", [run.id]).fetchone()
                if made is None:  # a first start that came to nothing holds nobody to it
                    columns = [identity.get(column, "") for column in ("task", "split", "model")]
                    documents = map(write_json, (identity, config, prompt, plugins))
                    self._db.execute(tables.SET_RUN, [*columns, *documents, run.id])
                    return self.run(name)
                parts = differences(run.prompt, _plain(prompt))
                shown = f" (the prompt differs in {', '.join(parts)})" if parts else ""
                raise StoreError(
                    f"run {name!r} exists with another configuration: {_listed(changed)}{shown}; "
                    "choose another name with --run, another folder with --home, or start it as it "
                    "was"
                )
            versions = differences(run.plugins, plugins)
            warning = f"run {name!r} goes on with other plugins: {_listed(versions)}"
            self._db.execute(
                "UPDATE runs SET config = ?, plugins = ? WHERE id = ?",
                [write_json(config), write_json(plugins), run.id],
            )
            warnings = (warning,) if versions else ()
            return replace(run, config=config, plugins=plugins, warnings=warnings)

    def run(self, name: str) -> Run:
        """The run of that name. Raises StoreError, with the nearest names, if there is none."""
        with self._explained():
            row = self._db.execute(tables.RUN, [name]).fetchone()
            names = [] if row else [one for (one,) in self._db.execute("SELECT name FROM runs")]
        if row is None:
            raise StoreError(f"there is no run {name!r} in {self.path}; {nearest(name, names)}")
        return Run(*row[:3], *map(json.loads, row[3:]))

    def runs(self) -> list[RunSummary]:
        """All runs, oldest first."""
        with self._explained():
            return [RunSummary(*row) for row in self._db.execute(tables.SUMMARIES)]

    # ---- chains ---------------------------------------------------------------------------------

    def owed(
        self, run: Run, problems: Sequence[Problem], attempts: int
    ) -> list[tuple[Problem, int]]:
        """The (problem, attempt) still to make: not recorded, the problem not settled.

        First attempts of all problems come first. A problem that is there twice counts once.
        """
        wanted = {problem.key: problem for problem in problems}
        begun: dict[str, tuple[int, ...]] = {}
        by_attempt: list[list[tuple[Problem, int]]] = [[] for _ in range(attempts)]
        with self._transaction():
            for key, made in self._db.execute(tables.MADE, [run.id, attempts]):
                if left := _left(attempts, made):
                    begun[key] = left
                else:
                    wanted.pop(key, None)
            settled = self._db.execute("SELECT problem FROM settled WHERE run = ?", [run.id])
            for (key,) in settled:
                wanted.pop(key, None)
            for key, problem in wanted.items():
                for attempt in begun.get(key, range(attempts)):
                    by_attempt[attempt].append((problem, attempt))
            owed = list(joined.from_iterable(by_attempt))
            self._db.execute(tables.SET_GOAL, {"run": run.id, "owed": len(owed)})
        return owed

    def add(self, run: Run, records: Sequence[tuple[Chain, Verdict]]) -> int:
        """Record chains with their verdicts, all or none; on return they are kept.

        A chain is unique by run, problem and attempt: one that is there already stays as it is.
        Returns how many were new, so that a caller can tell.
        """
        new = 0
        with self._transaction():
            self._keep_problems(run, (chain.problem for chain, _ in records))
            for chain, verdict in records:
                row = [run.id, chain.problem.key, chain.attempt, *tables.columns(chain, verdict)]
                added = self._db.execute(tables.ADD_CHAIN, row)
                if added.rowcount:
                    # The problem is kept once, in its own table; a run's name on the run.
                    document = dump(replace(chain, problem=Problem(""), run=""))
                    self._db.execute(tables.ADD_DOCUMENT, [added.lastrowid, document])
                    new += 1
        return new

    def verdicts(self, run: Run) -> dict[str, tuple[int, int]]:
        """How many incorrect and how many correct chains each problem has, by its key."""
        with self._explained():
            rows = self._db.execute(tables.VERDICTS, [run.id])
            return {key: (wrong, correct) for key, correct, wrong in rows}

    def settle(self, run: Run, problem_key: str) -> None:
        """Owe no more attempts at this problem (early stop)."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO settled VALUES (?, ?)", [run.id, problem_key])

    def finish(self, run: Run) -> None:
        """Say that nothing more is owed, where settling has left fewer chains than asked for."""
        with self._transaction():
            self._db.execute(tables.SET_GOAL, {"run": run.id, "owed": 0})

    def records(self, run: Run, *, correct: bool | None = None) -> Iterator[tuple[Chain, Verdict]]:
        """The run's chains with their verdicts, by problem key and attempt.

        The order is the same however the chains were made. Read page by page, in constant memory;
        other processes may write meanwhile.
        """
        problem, attempt = "", -1
        while True:
            with self._explained():
                page = self._db.execute(
                    tables.PAGE_OF_CHAINS,
                    [run.task, run.id, problem, attempt, correct, correct, PAGE],
                ).fetchall()
            for row in page:
                yield _record(run, row)
            if len(page) < PAGE:
                return
            problem, attempt = page[-1][:2]

    def problem_keys(self, run: Run) -> set[str]:
        """The keys of all problems that the run has chains for."""
        with self._explained():
            return {key for (key,) in self._db.execute(tables.PROBLEM_KEYS, [run.id])}

    def chain(self, run: Run, problem_key: str, attempt: int = 0) -> tuple[Chain, Verdict]:
        """One chain, by the first digits of its problem's key. StoreError if none, or several."""
        given = problem_key.lower()
        with self._explained():
            found = self._db.execute(tables.ATTEMPTS, [run.id, given, f"{given}g"]).fetchall()
            keys = sorted({key for key, _ in found})
            if len(keys) == 1 and (keys[0], attempt) in found:
                row = self._db.execute(
                    tables.PAGE_OF_CHAINS, [run.task, run.id, keys[0], attempt - 1, None, None, 1]
                ).fetchone()
                return _record(run, row)
        if not keys:
            reason = f"has no problem whose key begins with {problem_key!r}"
        elif len(keys) > 1:
            some = ", ".join(keys[:3])
            reason = f"has {len(keys)} problems whose key begins with {problem_key!r}: {some}, ..."
        else:
            made = ", ".join(str(number) for _, number in found)
            reason = f"has no attempt {attempt} at problem {keys[0]}; there is {made}"
        raise StoreError(f"run {run.name!r} {reason}")

    def rescore(
        self,
        run: Run,
        judge: Callable[[Problem, Chain], Verdict],
        problems: Iterable[Problem] = (),
    ) -> Rescored:
        """Judge all chains of the run again; the chains themselves stay as they are.

        ``problems`` replace the stored ones of their key, so that mended gold answers count. What
        ``judge`` raises ends it halfway; start it again.
        """
        with self._transaction():
            mended = self._keep_problems(run, problems, known_only=True)
        counts = {True: 0, False: 0}
        changes: list[list[JSON]] = []
        chains = 0
        for chain, old in self.records(run):
            chains += 1
            verdict = judge(chain.problem, chain)
            counts[verdict.correct] += verdict.correct != old.correct
            if verdict != old:
                key = [run.id, chain.problem.key, chain.attempt]
                changes.append([*tables.verdict_columns(verdict), *key])
            if len(changes) == PAGE:
                self._judge(changes)
        self._judge(changes)
        return Rescored(chains, counts[True], counts[False], mended)

    def _judge(self, changes: list[list[JSON]]) -> None:
        with self._transaction():
            self._db.executemany(tables.SET_VERDICT, changes)
        changes.clear()

    def _keep_problems(
        self, run: Run, problems: Iterable[Problem], known_only: bool = False
    ) -> int:
        """Keep each problem once, as it was last seen. Returns how many had another gold answer."""
        mended = 0
        for key, problem in {problem.key: problem for problem in problems}.items():
            text = dump(problem)
            row = self._db.execute(tables.PROBLEM, [run.task, key]).fetchone()
            if row is None and not known_only:
                self._db.execute("INSERT INTO problems VALUES (?, ?, ?)", [run.task, key, text])
            elif row and row[0] != text:
                mended += load_problem(row[0]).gold != problem.gold
                self._db.execute(tables.SET_PROBLEM, [text, run.task, key])
        return mended

    # ---- pairs ----------------------------------------------------------------------------------

    def save_pairs(
        self, name: str, pairs: Iterable[PreferencePair], facts: Mapping[str, JSON]
    ) -> None:
        """Keep pairs under a name, in place of those it had; ``facts`` says how they were made.

        Pairs are taken one by one, in constant memory, and ``facts`` are read after the last. If
        making them fails, the name keeps what it had.
        """
        try:
            # In a table of this connection's own: others may write while pairs are being made.
            with self._explained():
                self._db.execute(tables.MAKE_STAGE)
            rows = enumerate(map(dump, pairs))
            while page := list(islice(rows, PAGE)):
                with self._explained(), self._db:
                    self._db.execute("BEGIN")
                    self._db.executemany("INSERT INTO stage VALUES (?, ?)", page)
            with self._transaction():
                self._db.execute(tables.DROP_PAIRS, [name])
                self._db.execute("DELETE FROM pair_sets WHERE name = ?", [name])
                added = self._db.execute(tables.ADD_PAIR_SET, [name, _now(), write_json(facts)])
                self._db.execute(tables.ADD_STAGED_PAIRS, [added.lastrowid])
        finally:
            with self._explained():
                self._db.execute("DROP TABLE IF EXISTS stage")

    def pairs(self, name: str) -> list[PreferencePair]:
        """The pairs of that name, in order. Raises StoreError, with the nearest names."""
        self.pair_set(name)
        with self._explained():
            return [load_pair(text) for (text,) in self._db.execute(tables.PAIRS, [name])]

    def pair_set(self, name: str) -> PairSet:
        """What is known of the pairs of that name. Raises StoreError, with the nearest names."""
        sets = {one.name: one for one in self.pair_sets()}
        if name not in sets:
            known = nearest(name, list(sets))
            raise StoreError(f"there are no pairs called {name!r} in {self.path}; {known}")
        return sets[name]

    def pair_sets(self) -> list[PairSet]:
        """All sets of pairs, oldest first."""
        with self._explained():
            rows = self._db.execute(tables.PAIR_SETS).fetchall()
        return [PairSet(name, made, pairs, json.loads(facts)) for name, made, pairs, facts in rows]

    # ---- plumbing -------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE: a transaction that starts by reading could otherwise fail at its first write.
        with self._explained(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(tables.explain(error, self.path)) from error


def _record(run: Run, row: Sequence[Any]) -> tuple[Chain, Verdict]:
    _, _, problem, chain, correct, score, reason, grounded = row
    whole = replace(load_chain(chain), problem=load_problem(problem), run=run.name)
    return whole, Verdict(bool(correct), score, reason, bool(grounded))


@lru_cache(maxsize=4096)  # most problems have the same few attempts
def _left(attempts: int, made: str) -> tuple[int, ...]:
    """Those of ``attempts`` that are not among the made ones, which are written as 0,1,2."""
    numbers = set(map(int, made.split(",")))
    return tuple(attempt for attempt in range(attempts) if attempt not in numbers)


def _listed(changes: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {change}" for name, change in changes.items())


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back, so that what is stored compares with what is given."""
    plain: dict[str, Any] = json.loads(write_json(value))
    return plain


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
