"""Real worker processes. The functions they run are written to a module that they can import."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callsmith.calls import FunctionFault, run_call
from callsmith.chain import Call, Problem
from callsmith.functions import Context, Function, function
from callsmith.isolation import Workers

Define = Callable[[str], Any]

CHILD = """
    import os, pathlib, subprocess, sys, time

    def start_child(folder: str) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path(folder, "pids").write_text(f"{os.getpid()} {child.pid}")
"""


@pytest.fixture
def define(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Define:
    """A module with the given code, importable here and in workers."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> Any:
        name = f"code_of_{tmp_path.name}"
        head = "from callsmith.functions import Context, function\n"
        (tmp_path / f"{name}.py").write_text(head + textwrap.dedent(code))
        return importlib.import_module(name)

    return write


async def fault_of(workers: Workers, function: Function, **arguments: Any) -> FunctionFault:
    with pytest.raises(FunctionFault) as raised:
        await workers.run(function, arguments, Context())
    return raised.value


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return condition()


def read_pids(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


async def test_a_call_gives_the_value_and_runs_elsewhere(define: Define) -> None:
    code = define("""
        import os

        @function
        def join(parts: list[str], separator: str = "-") -> list[str | int]:
            '''Join.'''
            print("noise on the standard output")
            return [separator.join(parts), os.getpid()]
    """)
    async with Workers() as workers:
        (joined, pid), _ = await workers.run(code.join, {"parts": ["ä", "\n"]}, Context())
    assert joined == "ä-\n"
    assert pid != os.getpid()


async def test_types_are_built_from_json_in_the_worker(define: Define) -> None:
    code = define("""
        from datetime import date

        @function
        def weekday(day: date) -> str:
            '''The weekday.'''
            return day.strftime("%A")
    """)
    async with Workers(1) as workers:
        value, _ = await workers.run(code.weekday, {"day": "2024-02-29"}, Context())
    assert value == "Thursday"


async def test_state_goes_by_value_and_comes_back_and_the_gold_never_goes(define: Define) -> None:
    code = define("""
        @function
        def note(text: str, context: Context) -> list[str]:
            '''Note.'''
            context.state["notes"].append(text)
            problem = context.problem
            return [problem.question, problem.context, problem.id, str(problem.gold)]

        @function
        def spoil(context: Context) -> int:
            '''Fail halfway.'''
            context.state["notes"].clear()
            return 1 // 0
    """)
    context = Context(Problem("q?", gold="secret", context="c", id="7"), {"notes": ["a"]})
    state = context.state
    async with Workers(1) as workers:
        functions = {"note": code.note, "spoil": code.spoil}
        result = await run_call(Call("note", {"text": "b"}), functions, context, workers)
        assert result.value == ["q?", "c", "7", "None"]
        assert context.state == {"notes": ["a", "b"]}
        assert state == {"notes": ["a"]}
        failed = await run_call(Call("spoil"), functions, context, workers)
    assert failed.fault is not None
    assert failed.fault.kind == "function_error"
    assert "division" in failed.fault.message
    assert context.state == {"notes": ["a", "b"]}


async def test_what_runs_too_long_is_killed_with_its_children(
    define: Define, tmp_path: Path
) -> None:
    code = define(
        CHILD
        + """
    @function(timeout=1)
    def hang(folder: str) -> int:
        '''Hang.'''
        start_child(folder)
        while True:
            pass
    """
    )
    async with Workers(1) as workers:
        started = time.monotonic()
        fault = await fault_of(workers, code.hang, folder=str(tmp_path))
        assert fault.kind == "timeout"
        assert str(fault) == "hang took longer than 1 s and was stopped"
        assert 1 <= time.monotonic() - started < 10
        pids = read_pids(tmp_path)
        assert len(pids) == 2
        assert await wait_until(lambda: not any(map(is_running, pids)))


@pytest.mark.parametrize(
    "body",
    [
        "len(str(9 ** 9 ** 8))",  # Python gets no turn: one long computation in C
        "[signal.setitimer(signal.ITIMER_REAL, 0), time.sleep(60)]",  # takes the alarm away
    ],
)
async def test_the_time_limit_holds_whatever_the_function_does(define: Define, body: str) -> None:
    code = define(f"""
        import signal, time

        @function(timeout=0.3)
        def stubborn() -> int:
            '''Go on.'''
            {body}
            return 1
    """)
    async with Workers(1) as workers:
        assert (await fault_of(workers, code.stubborn)).kind == "timeout"


async def test_starting_and_importing_do_not_count_as_the_call(define: Define) -> None:
    code = define("""
        import os, time
        if "PYTHONHASHSEED" in os.environ:  # in a worker
            time.sleep(1)

        @function(timeout=0.3)
        def quick() -> int:
            '''Be quick.'''
            return 1
    """)
    async with Workers(1) as workers:
        assert await workers.run(code.quick, {}, Context()) == (1, None)


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are Linux only")
async def test_what_needs_too_much_memory_is_stopped_and_the_rest_of_the_limit_is_its_own(
    define: Define,
) -> None:
    code = define("""
        @function(memory_mb=200)
        def take(mb: int) -> int:
            '''Take memory.'''
            return len(bytearray(mb * 2**20))
    """)
    async with Workers(1) as workers:
        fault = await fault_of(workers, code.take, mb=250)
        assert (fault.kind, str(fault)) == (
            "memory",
            "take needed more than 200 MiB of memory and was stopped",
        )
        assert await workers.run(code.take, {"mb": 150}, Context()) == (150 * 2**20, None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("os._exit(3)", "die ended its process with status 3"),
        ("ctypes.string_at(0)", "die crashed its process (SIGSEGV)"),
    ],
)
async def test_a_crash_is_a_fault_and_the_pool_lives_on(
    define: Define, body: str, expected: str
) -> None:
    code = define(f"""
        import ctypes, os, time

        @function
        def die() -> int:
            '''Die.'''
            {body}
            time.sleep(60)

        @function
        def live() -> int:
            '''Live.'''
            return 1
    """)
    async with Workers(1) as workers:
        fault = await fault_of(workers, code.die)
        assert (fault.kind, str(fault)) == ("crash", expected)
        assert await workers.run(code.live, {}, Context()) == (1, None)


async def test_a_crash_on_import_is_a_fault_too(define: Define) -> None:
    code = define("""
        import os
        if "PYTHONHASHSEED" in os.environ:  # in a worker
            os._exit(5)

        @function
        def lost() -> int:
            '''Never found.'''
            return 1
    """)
    async with Workers(1) as workers:
        fault = await fault_of(workers, code.lost)
    assert fault.kind == "crash"
    assert "its import ended its process with status 5" in str(fault)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ("raise ValueError('no such\\nunit')", "function_error", "go: no such unit"),
        ("raise SystemExit", "function_error", "go: SystemExit"),
        ("raise StopIteration", "function_error", "go: StopIteration"),
        ("return {1, 2}", "bad_result", "go gave something that is no JSON value: Object of type"),
        ("return float('nan')", "bad_result", "no JSON value: a number is infinite, or none"),
        ("return 'x' * 10_000_000", "bad_result", "something of 10,000,002 characters"),
        ("context.state = object()", "bad_result", "go gave a state that is no JSON value"),
    ],
)
async def test_what_a_function_does_wrong_is_said_in_one_sentence(
    define: Define, body: str, kind: str, expected: str
) -> None:
    code = define(f"""
        @function
        def go(context: Context) -> int:
            '''Go.'''
            {body}
    """)
    async with Workers(1) as workers:
        fault = await fault_of(workers, code.go)
    assert fault.kind == kind
    assert expected in str(fault)


async def test_the_environment_is_cleared(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "secret")
    code = define("""
        import os, sys

        @function
        def look() -> list[str]:
            '''Look around.'''
            return [*os.environ, sys.stdin.read() if sys.stdin else ""]
    """)
    async with Workers(1) as workers:
        names, _ = await workers.run(code.look, {}, Context())
    assert "MY_API_KEY" not in names
    assert "HOME" not in names
    assert "PATH" in names
    assert names[-1] == ""


async def test_many_calls_share_few_warm_workers(define: Define) -> None:
    code = define("""
        import os, time

        @function
        def which(n: int) -> list[int]:
            '''Which process.'''
            time.sleep(0.02)
            return [n, os.getpid()]
    """)
    async with Workers(2) as workers:
        calls = (workers.run(code.which, {"n": n}, Context()) for n in range(20))
        values = [value for value, _ in await asyncio.gather(*calls)]
    assert [n for n, _ in values] == list(range(20))
    assert len({pid for _, pid in values}) == 2


async def test_a_worker_that_died_between_calls_is_replaced(define: Define) -> None:
    code = define("""
        import os

        @function
        def which() -> int:
            '''Which process.'''
            return os.getpid()
    """)
    async with Workers(1) as workers:
        pid, _ = await workers.run(code.which, {}, Context())
        os.kill(pid, signal.SIGKILL)
        # Whole: while one of its threads is still ending, the process holds its socket open.
        ended = os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        await wait_until(lambda: os.waitid(*ended) is not None)
        other, _ = await workers.run(code.which, {}, Context())
    assert other != pid


async def test_the_loop_goes_on_while_a_call_runs_and_a_cancelled_call_is_killed(
    define: Define, tmp_path: Path
) -> None:
    code = define(
        CHILD
        + """
    @function(timeout=60)
    def wait(folder: str) -> int:
        '''Wait.'''
        start_child(folder)
        time.sleep(60)

    @function
    def live() -> int:
        '''Live.'''
        return 1
    """
    )
    async with Workers(1) as workers:
        task = asyncio.create_task(workers.run(code.wait, {"folder": str(tmp_path)}, Context()))
        assert await wait_until(lambda: len(read_pids(tmp_path)) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pids = read_pids(tmp_path)
        assert await wait_until(lambda: not any(map(is_running, pids)))
        assert await workers.run(code.live, {}, Context()) == (1, None)


async def test_close_leaves_no_process_not_even_of_calls_under_way(
    define: Define, tmp_path: Path
) -> None:
    code = define(
        CHILD
        + """
    @function(timeout=60)
    def wait(folder: str) -> int:
        '''Wait.'''
        start_child(folder)
        time.sleep(60)
    """
    )
    workers = Workers(1)
    task = asyncio.create_task(fault_of(workers, code.wait, folder=str(tmp_path)))
    assert await wait_until(lambda: len(read_pids(tmp_path)) == 2)
    worker, child = read_pids(tmp_path)
    await workers.close()
    assert not Path(f"/proc/{worker}").exists()  # reaped: not even a zombie
    assert await wait_until(lambda: not is_running(child))
    assert (await task).kind == "crash"


async def test_killing_the_program_leaves_no_worker(define: Define, tmp_path: Path) -> None:
    code = define(
        CHILD
        + """
    @function(timeout=60)
    def wait(folder: str) -> int:
        '''Wait.'''
        start_child(folder)
        time.sleep(60)
    """
    )
    program = f"""
import asyncio
from {code.__name__} import wait
from callsmith.functions import Context
from callsmith.isolation import Workers

asyncio.run(Workers(1).run(wait, {{"folder": {str(tmp_path)!r}}}, Context()))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(tmp_path)}
    ) as parent:
        assert await wait_until(lambda: len(read_pids(tmp_path)) == 2)
        parent.kill()
    pids = read_pids(tmp_path)
    assert await wait_until(lambda: not any(map(is_running, pids)))


async def test_a_function_no_worker_can_import_runs_here_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @function(timeout=0.2)
    def local(seconds: float, context: Context) -> int:
        """Only here."""
        context.state.append(seconds)
        time.sleep(seconds)
        if seconds < 0.01:
            raise StopIteration
        return os.getpid()

    state: list[float] = []
    with caplog.at_level(logging.WARNING):
        async with Workers(1) as workers:
            context = Context(Problem("q"), state)
            assert await workers.run(local, {"seconds": 0.01}, context) == (os.getpid(), [0.01])
            assert (await fault_of(workers, local, seconds=1)).kind == "function_error"
            with pytest.raises(FunctionFault, match="longer than"):
                await workers.run(local, {"seconds": 1}, context)
    assert state == []
    assert caplog.text.count("local runs in this process") == 1


async def test_a_module_that_only_exists_here_runs_here(define: Define, tmp_path: Path) -> None:
    code = define("""
        import os

        @function
        def which() -> int:
            '''Which process.'''
            return os.getpid()
    """)
    Path(code.__file__).unlink()
    async with Workers(1) as workers:
        assert await workers.run(code.which, {}, Context()) == (os.getpid(), None)


async def test_a_name_taken_by_another_function_is_not_confused(define: Define) -> None:
    code = define("""
        def make(n):
            def number() -> int:
                '''A number.'''
                return n
            number.__qualname__ = "number"
            return function(number)

        number = make(1)
        other = make(2)
    """)
    async with Workers(1) as workers:
        assert (await workers.run(code.number, {}, Context()))[0] == 1
        assert (await workers.run(code.other, {}, Context()))[0] == 2
