"""The table in ``docs/servers.md``, row by row: rollouts with a server that has a bad day.

Each row runs through a real store, the loop and both backends, against real sockets.
"""

from __future__ import annotations

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from callsmith import RolloutConfig, Workspace, function
from callsmith.backends import Completion
from callsmith.chain import Call, Chain, Usage, Verdict
from callsmith.cli.chains import show_chain
from callsmith.errors import CallsmithError, Rejected, Unavailable
from callsmith.patience import Tally
from callsmith.testing import BAD_DAYS, BadDay, FaultServer, OllamaWire, OpenAIWire, Sent, Wire
from callsmith.testing.days import RETRY_AFTER, refuse
from callsmith.workspace import RunReport

PAGE = Path(__file__).parent.parent / "docs" / "servers.md"

DAYS = {day.name: day for day in BAD_DAYS}

WIRES: dict[str, Wire] = {"openai": OpenAIWire(), "ollama": OllamaWire()}


class Row(NamedTuple):
    day: str
    outcome: str
    again: str
    recorded: str
    seen: str


def rows() -> list[Row]:
    table = (
        PAGE.read_text(encoding="utf-8").partition("| a server that … |")[2].partition("\n\n")[0]
    )
    lines = table.splitlines()[2:]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def test_the_table_has_a_row_for_each_bad_day_and_says_what_is_made_of_it() -> None:
    assert [row.day for row in rows()] == list(DAYS)
    for row in rows():
        kinds = {kind.__name__ for kind in DAYS[row.day].expected}
        named = set(re.findall(r"`(\w+)`", row.outcome))
        assert named | ({"Completion"} if "answered" in row.outcome else set()) == kinds, row


@function(inline=True)
def add(a: int, b: int) -> int:
    """Add b to a."""
    return a + b


class Solver:
    """The turns of a model that adds and answers. The bad day falls on the first turn of the second
    problem that comes.
    """

    def __init__(self, day: BadDay) -> None:
        self.day = day
        self.server: FaultServer
        self.problems: list[int] = []

    def __call__(self, sent: Sent) -> Completion:
        question = next(m["content"] for m in sent.messages if m["role"] == "user")
        numbers = re.findall(r"What is (\d+) plus (\d+)\?", question)
        usage = Usage(len(json.dumps([*sent.messages, *sent.tools]).split()), 5)
        if not numbers:  # how a backend finds out what the server can do
            return Completion("Hello.", usage=usage)
        a, b = map(int, numbers[0])
        results = [m["content"] for m in sent.messages if m["role"] == "tool"]
        if results:
            calls = (Call("answer", {"value": int(results[-1])}, f"answer{a:03}"),)
        else:
            calls = (
                Call("add", {"a": a, "b": b}, f"first{a:04}"),
                Call("add", {"a": b, "b": a}, f"other{a:04}"),
            )
        if a not in self.problems:
            self.problems.append(a)
            if len(self.problems) == 2:
                self.server.coming.append(self.day)
        return Completion("Let me see.", calls, "tool_calls", usage)


@pytest.mark.parametrize("scheme", WIRES)
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.day)
async def test_a_rollout_lives_through_a_bad_day(
    scheme: str, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    problems = tmp_path / "sums.jsonl"
    problems.write_text(
        "".join(f'{{"question": "What is {n} plus 5?", "answer": {n + 5}}}\n' for n in (1, 2, 3))
    )
    solver, work = Solver(DAYS[row.day]), Workspace(tmp_path / "home")
    async with FaultServer(WIRES[scheme], solver) as server:
        solver.server = server
        config = RolloutConfig(
            task=str(problems),
            model=f"{scheme}:{server.wire.model}@{server.url}",
            functions=(add,),
            dialect="native",
            concurrency=1,
            timeout=1.0 if "--timeout" in row.again else None,
        )
        outcome = await asyncio.to_thread(run, work, config)
        recorded = records(work, config)
        good, bad = (n + 5 for n in solver.problems[:2])
        if row.recorded == "the chains before":
            assert [chain.answer for chain, _ in recorded] == [good]
            check_seen(row, outcome, recorded)
            outcome = await asyncio.to_thread(run, work, config)
            recorded = records(work, config)
        else:
            check_seen(row, outcome, recorded)
    assert isinstance(outcome, RunReport), outcome
    # Each chain once, whatever happened.
    assert sorted(chain.problem.gold for chain, _ in recorded) == [6, 7, 8]
    for chain, verdict in recorded:
        if chain.problem.gold == bad:
            check_recorded(row, chain, verdict)
        else:
            assert (chain.stop, chain.faults, verdict.correct) == ("answer", (), True)
    asked = [turn.at for turn in server.turns if f"What is {bad - 5} plus" in str(turn.body)]
    check_asked_again(row, outcome.tally, asked)


@pytest.mark.parametrize("scheme", WIRES)
async def test_a_server_that_stays_busy_is_asked_less_and_less_and_one_that_names_hours_not_at_all(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day of the table is of one turn; real limits are those of an hour, or of a day."""
    monkeypatch.setattr("callsmith.waiting.FIRST", 0.05)
    problems = tmp_path / "sums.jsonl"
    problems.write_text('{"question": "What is 1 plus 5?", "answer": 6}\n')
    days = [BadDay("", refuse(429, "slow down", wait), ()) for wait in ("0", "0", "0", "7200")]
    coming, work = list(days), Workspace(tmp_path / "home")

    def good(sent: Sent) -> Completion:
        if "What is 1 plus" in str(sent.messages):  # not how a backend finds out what there is
            server.coming.extend(coming)
            coming.clear()
        return Solver(days[0])(sent)

    async with FaultServer(WIRES[scheme], good) as server:
        config = RolloutConfig(
            task=str(problems),
            model=f"{scheme}:{server.wire.model}@{server.url}",
            functions=(add,),
            dialect="native",
        )
        ended = await asyncio.to_thread(run, work, config)
        assert isinstance(ended, Unavailable)
        assert "wants to be left alone until" in str(ended)
        asked = [turn.at for turn in server.turns if "What is 1 plus" in str(turn.body)]
        assert len(asked) == len(days)
        for tried, (one, other) in enumerate(pairwise(asked)):
            assert other - one >= 0.025 * 2**tried
        assert isinstance(await asyncio.to_thread(run, work, config), RunReport)
    [(chain, verdict)] = records(work, config)
    assert (chain.stop, verdict.correct) == ("answer", True)


@pytest.mark.parametrize("scheme", WIRES)
async def test_a_server_that_still_loads_is_waited_for_and_one_that_is_not_there_is_not(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsmith.waiting.FIRST", 0.05)
    problems = tmp_path / "sums.jsonl"
    problems.write_text('{"question": "What is 1 plus 5?", "answer": 6}\n')
    work, told = Workspace(tmp_path / "home"), list[str]()
    loop = asyncio.get_running_loop()
    async with FaultServer(WIRES[scheme], Solver(DAYS["answers 500"])) as server:
        config = RolloutConfig(
            task=str(problems),
            model=f"{scheme}:{server.wire.model}@{server.url}",
            functions=(add,),
            dialect="native",
        )

        def loaded() -> None:
            server.refuses = None

        def tell(sentence: str) -> None:
            told.append(sentence)
            if "waiting" in sentence:  # and it needs a while longer
                loop.call_soon_threadsafe(loop.call_later, 0.3, loaded)

        server.refuses = (503, "Loading model")
        await asyncio.to_thread(work.teach, config, on_ready=tell)
        assert len(server.requests) > len(server.turns) + 2
        waiting, back, _ = told
        assert "waiting for the server: " in waiting
        assert "Loading model" in waiting
        assert "the server is back after" in back
    gone = await asyncio.to_thread(run, work, config)
    assert isinstance(gone, Unavailable)
    assert "given up" not in str(gone)


def run(work: Workspace, config: RolloutConfig) -> RunReport | CallsmithError:
    try:
        return work.teach(config)
    except CallsmithError as error:
        return error


def records(work: Workspace, config: RolloutConfig) -> list[tuple[Chain, Verdict]]:
    with work.store() as store:
        return list(store.records(store.run(config.name)))


def check_recorded(row: Row, chain: Chain, verdict: Verdict) -> None:
    match row.recorded:
        case "the chain, whole" | "the chains before":
            assert (chain.stop, chain.faults, verdict.correct) == ("answer", (), True)
            assert [len(step.calls) for step in chain.steps] == [2, 1]
        case "the chain, with a fault in this step":
            assert [len(step.faults) for step in chain.steps] == [1, 0, 0]
            assert (chain.stop, verdict.correct) == ("answer", True)
        case "the chain, ended by `context`":
            assert (chain.stop, chain.steps) == ("context", ())
        case _:
            pytest.fail(f"nobody knows how to record {row.recorded!r}")


def check_asked_again(row: Row, tally: Tally, asked: list[float]) -> None:
    """``asked`` is when the turns of the chain were asked for, the bad one first."""
    match row.again.rstrip(" ¹²³"):
        case "no" | "no: the model is told":
            assert tally.retries == 0
        case "after a wait" | "after `--timeout`":
            assert tally.retries >= (0 if "answered" in row.outcome else 1)
        case "after as long as it says":
            assert tally.retries == 1
            assert asked[1] - asked[0] >= RETRY_AFTER
        case _:
            pytest.fail(f"nobody knows how to ask again {row.again!r}")


def check_seen(
    row: Row, outcome: RunReport | CallsmithError, recorded: list[tuple[Chain, Verdict]]
) -> None:
    shown = Console(width=200)
    with shown.capture() as page:
        for chain, verdict in recorded:
            shown.print(show_chain(chain, verdict))
    match row.seen:
        case "one sentence, exit code 2":
            assert isinstance(outcome, Rejected)
            assert re.fullmatch(r"[^\n]{10,500}", str(outcome))
            return
        case "a retry, and why":
            assert isinstance(outcome, RunReport)
            assert bool(outcome.tally.trouble) == bool(outcome.tally.retries)
            assert re.fullmatch(r"[^\n]{0,500}", outcome.tally.trouble)
            return
        case "nothing":
            pass
        case "the fault, in `callsmith show`":
            [fault] = [fault for chain, _ in recorded for fault in chain.faults]
            assert fault.message[:60] in page.get()
        case "`context`, in `callsmith show`":
            assert "context" in page.get()
        case _:
            pytest.fail(f"nobody knows how to see {row.seen!r}")
    assert isinstance(outcome, RunReport)
    assert outcome.tally.trouble == ""
