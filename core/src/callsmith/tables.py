"""The store's file: its tables, its SQL, and what SQLite's errors mean to a person."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from callsmith.chain import JSON, Chain, Verdict
from callsmith.errors import StoreError

APPLICATION = 0x63736D74  # "csmt": SQLite's own mark for whose file this is
SCHEMA = 1
PATIENCE = 5.0
"""Seconds to wait for another process's transaction; ours take milliseconds."""

# Chains are narrow and their documents apart: summaries and resuming never read the documents,
# and a new verdict rewrites none. A problem is shared by the runs of its task.
TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    task TEXT NOT NULL,
    split TEXT NOT NULL,
    model TEXT NOT NULL,
    identity TEXT NOT NULL,
    config TEXT NOT NULL,
    prompt TEXT NOT NULL,
    plugins TEXT NOT NULL,
    goal INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE problems (
    task TEXT NOT NULL,
    key TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (task, key)
) WITHOUT ROWID;
CREATE TABLE chains (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs,
    problem TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stop TEXT NOT NULL,
    steps INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    faults INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    correct INTEGER NOT NULL,
    score REAL NOT NULL,
    reason TEXT NOT NULL,
    grounded INTEGER NOT NULL,
    UNIQUE (run, problem, attempt)
);
CREATE TABLE documents (
    chain INTEGER PRIMARY KEY REFERENCES chains,
    document TEXT NOT NULL
);
CREATE TABLE settled (
    run INTEGER NOT NULL REFERENCES runs,
    problem TEXT NOT NULL,
    PRIMARY KEY (run, problem)
) WITHOUT ROWID;
CREATE TABLE pair_sets (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE TABLE pairs (
    pair_set INTEGER NOT NULL REFERENCES pair_sets,
    place INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (pair_set, place)
) WITHOUT ROWID;
"""

ADD_RUN = """
INSERT INTO runs (name, created, task, split, model, identity, config, prompt, plugins)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""

SET_RUN = """
UPDATE runs SET task = ?, split = ?, model = ?, identity = ?, config = ?, prompt = ?, plugins = ?
WHERE id = ?"""

RUN = "SELECT id, name, created, identity, config, prompt, plugins FROM runs WHERE name = ?"

SUMMARIES = """
SELECT name, task, split, model, created, max(0, goal - coalesce(made.chains, 0)),
       coalesce(made.chains, 0), coalesce(made.problems, 0), coalesce(made.correct, 0),
       coalesce(made.faults, 0), coalesce(made.tokens, 0), coalesce(made.seconds, 0.0)
FROM runs LEFT JOIN (
    SELECT run, count(*) AS chains, count(DISTINCT problem) AS problems, sum(correct) AS correct,
           sum(faults) AS faults, sum(tokens) AS tokens, sum(seconds) AS seconds
    FROM chains GROUP BY run
) AS made ON made.run = runs.id
ORDER BY runs.id"""

SET_GOAL = """
UPDATE runs SET goal = :owed + (SELECT count(*) FROM chains WHERE run = :run) WHERE id = :run"""

MADE = """
SELECT problem, group_concat(attempt) FROM chains WHERE run = ? AND attempt < ? GROUP BY problem"""

ADD_CHAIN = """
INSERT INTO chains (run, problem, attempt, stop, steps, calls, faults, tokens, seconds,
                    correct, score, reason, grounded)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""

ADD_DOCUMENT = "INSERT INTO documents VALUES (?, ?)"

PAGE_OF_CHAINS = """
SELECT chains.problem, attempt, problems.document, documents.document,
       correct, score, reason, grounded
FROM chains
CROSS JOIN documents ON documents.chain = chains.id
CROSS JOIN problems ON problems.task = ? AND problems.key = chains.problem
WHERE run = ? AND (chains.problem, attempt) > (?, ?) AND (? IS NULL OR correct = ?)
ORDER BY chains.problem, attempt LIMIT ?"""

VERDICTS = """
SELECT problem, sum(correct), sum(NOT correct) FROM chains WHERE run = ? GROUP BY problem"""

PROBLEM_KEYS = "SELECT DISTINCT problem FROM chains WHERE run = ?"

ATTEMPTS = "SELECT problem, attempt FROM chains WHERE run = ? AND problem >= ? AND problem < ?"

SET_VERDICT = """
UPDATE chains SET correct = ?, score = ?, reason = ?, grounded = ?
WHERE run = ? AND problem = ? AND attempt = ?"""

PROBLEM = "SELECT document FROM problems WHERE task = ? AND key = ?"
SET_PROBLEM = "UPDATE problems SET document = ? WHERE task = ? AND key = ?"

ADD_PAIR_SET = "INSERT INTO pair_sets (name, created, facts) VALUES (?, ?, ?)"
DROP_PAIRS = "DELETE FROM pairs WHERE pair_set = (SELECT id FROM pair_sets WHERE name = ?)"
MAKE_STAGE = "CREATE TEMP TABLE stage (place INTEGER PRIMARY KEY, document TEXT NOT NULL)"
ADD_STAGED_PAIRS = "INSERT INTO pairs SELECT ?, place, document FROM stage ORDER BY place"
PAIRS = """
SELECT document FROM pairs WHERE pair_set = (SELECT id FROM pair_sets WHERE name = ?)
ORDER BY place"""
PAIR_SETS = """
SELECT name, created, (SELECT count(*) FROM pairs WHERE pair_set = id), facts
FROM pair_sets ORDER BY id"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make its tables if it is new. Raises StoreError if it isn't ours."""
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        with db:
            # Whoever comes first makes the tables; the others wait here, then find them.
            db.execute("BEGIN IMMEDIATE")
            _prepare(db, path)
        # A commit then costs no fsync, and readers never wait for the writer.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in TABLES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    elif application != APPLICATION:
        raise StoreError(f"{path} is not a callsmith store: move it away, or choose another --home")
    elif schema > SCHEMA:
        raise StoreError(
            f"{path} was made by a newer callsmith (format {schema}, this one knows {SCHEMA}): "
            f"update callsmith, or choose another --home"
        )


def columns(chain: Chain, verdict: Verdict) -> list[JSON]:
    """What is kept beside a chain's document, from ``stop`` on."""
    return [
        chain.stop,
        len(chain.steps),
        len(chain.calls),
        len(chain.faults),
        chain.usage.total,
        chain.seconds,
        *verdict_columns(verdict),
    ]


def verdict_columns(verdict: Verdict) -> list[JSON]:
    return [verdict.correct, verdict.score, verdict.reason, verdict.grounded]


def explain(error: sqlite3.Error, path: Path) -> str:
    """What went wrong with the file, in one sentence with the way out."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"{path} is kept locked by another process: wait for it to end, "
            f"or choose another folder with --home"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} can't be written: make it writable, or choose another folder with --home"
    if code == sqlite3.SQLITE_FULL:
        return f"the disk is full, so {path} can't grow: make room and start again"
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a callsmith store: move it away, or choose another --home"
    if code == sqlite3.SQLITE_IOERR:
        return (
            f"{path} can't be read or written (the system says: {error}): look whether its disk "
            f"is full, over a quota, or failing, and start again"
        )
    return f"{path} can't be used: {error}"
