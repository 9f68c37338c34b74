"""Runs that are killed, that fill the disk, whose server dies: what is in the store afterwards.

Each run teaches 400 chains over a real HTTP server. It is disturbed one to three times, then the
same command is started once more and must come to its end. Afterwards the store must hold exactly
the chains that were owed, none twice, all that were there after each disturbance unchanged, and
pass SQLite's own check. Of every ten runs, eight are killed with SIGKILL at random moments, one
finds the disk full and one loses its server (killed as well).

    python benchmarks/crash.py [--runs 100] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from shared.arithmetic_server import TEACH, ArithmeticServer

PROBLEMS, ATTEMPTS = 200, 2
CHAINS = PROBLEMS * ATTEMPTS

Found: TypeAlias = dict[tuple[str, int], str]
"""Documents of chains by problem and attempt."""


class Run:
    """One run in a workspace of its own."""

    def __init__(self, home: Path, server: ArithmeticServer, luck: random.Random) -> None:
        self.home = home
        self.server = server
        self.luck = luck
        self.seen: Found = {}

    def start(self, largest_file: int = 0) -> subprocess.Popen[str]:
        arguments = [*TEACH, "-n", str(PROBLEMS), "--attempts", str(ATTEMPTS), "-j", "16", "--json"]
        arguments += ["--temperature", "1", "-m", self.server.model, "--max-retries", "1"]
        command = "from callsmith.cli import main; main()"
        limit = (largest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        return subprocess.Popen(
            [sys.executable, "-c", command, *arguments, "--home", str(self.home)],
            preexec_fn=lambda: largest_file and resource.setrlimit(resource.RLIMIT_FSIZE, limit),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, running: subprocess.Popen[str], chains: int) -> None:
        while running.poll() is None and count(self.home) < chains:
            time.sleep(0.005)
        time.sleep(self.luck.uniform(0, 0.05))

    def look(self) -> None:
        """Nothing of what was there before may be gone, or another."""
        found = chains_in(self.home)
        assert self.seen.items() <= found.items(), "something recorded is gone or changed"
        self.seen = found

    # ---- what can happen ------------------------------------------------------------------------

    def kill(self, chains: int) -> None:
        """Kill it once so many chains are recorded; 0: at any moment, also before the first."""
        running = self.start()
        if chains:
            self.wait_for(running, chains)
        else:
            time.sleep(self.luck.uniform(0.05, 1.5))
        running.kill()
        running.communicate()

    def fill_the_disk(self) -> None:
        """A limit on the size of files: what is written beyond it fails, as on a full disk."""
        size = sum(path.stat().st_size for path in self.home.glob("callsmith.db*"))
        self.expect(self.start(max(200_000, size) + self.luck.randrange(300_000)), "disk is full")

    def lose_the_server(self, chains: int) -> None:
        running = self.start()
        self.wait_for(running, chains)
        self.server.kill()
        self.expect(running, "the same command goes on")
        self.server.start()

    def expect(self, running: subprocess.Popen[str], sentence: str) -> None:
        _, errors = running.communicate(timeout=120)
        if running.returncode == 0:
            return  # it was done before that
        assert running.returncode == 2, (running.returncode, errors)
        assert sentence in errors, errors
        assert "Traceback" not in errors, errors

    # ---- the end --------------------------------------------------------------------------------

    def finish(self) -> None:
        before = len(self.seen)
        last = self.start()
        output, errors = last.communicate(timeout=300)
        assert last.returncode == 0, errors
        self.look()
        report = json.loads(output)
        assert report["new"] == CHAINS - before, (report["new"], before)
        assert len(self.seen) == CHAINS, len(self.seen)
        problems = Counter(problem for problem, _ in self.seen)
        assert set(problems.values()) == {ATTEMPTS}, problems
        with sqlite3.connect(self.home / "callsmith.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT count(*) FROM chains").fetchone() == (CHAINS,)
            assert db.execute("SELECT count(*) FROM documents").fetchone() == (CHAINS,)
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def count(home: Path) -> int:
    try:
        with sqlite3.connect(f"file:{home}/callsmith.db?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM chains").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


def chains_in(home: Path) -> Found:
    if not (home / "callsmith.db").exists():
        return {}
    query = "SELECT problem, attempt, document FROM chains JOIN documents ON chain = id"
    with sqlite3.connect(home / "callsmith.db") as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'chains'").fetchone():
            return {}
        return {(problem, attempt): document for problem, attempt, document in db.execute(query)}


def disturb(runs: int, seed: int, tell: Callable[[str], None] = print) -> Counter[str]:
    """Make the runs; gives how often each disturbance cut one off. Raises AssertionError."""
    happened: Counter[str] = Counter()
    server = ArithmeticServer(latency=0.005)
    try:
        for number in range(runs):
            luck = random.Random(f"{seed}/{number}")
            home = Path(tempfile.mkdtemp(prefix="crash-"))
            run = Run(home, server, luck)
            name = {8: "full disk", 9: "lost server"}.get(number % 10, "SIGKILL")
            for _ in range(luck.randint(1, 3)):
                if len(run.seen) == CHAINS:
                    break
                chains = luck.randrange(len(run.seen), CHAINS)
                if name == "full disk":
                    run.fill_the_disk()
                elif name == "lost server":
                    run.lose_the_server(chains)
                else:
                    run.kill(chains if luck.random() < 0.8 else 0)
                run.look()
                happened[name] += len(run.seen) < CHAINS
            run.finish()
            shutil.rmtree(home)
            tell(f"{number + 1:>4} {name:<12} {sum(happened.values()):>4} times cut off in all")
    finally:
        server.kill()
    return happened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    happened = disturb(arguments.runs, arguments.seed)
    cuts = ", ".join(f"{name} {times}" for name, times in happened.items())
    print(
        f"{arguments.runs} runs of {CHAINS} chains, cut off {sum(happened.values())} times "
        f"({cuts}): each ended with exactly the chains that were owed, none twice, none changed, "
        f"SQLite's check clean; {time.perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
