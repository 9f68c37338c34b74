"""Functions in a plain file: what is one, where they run, and what can be wrong with it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.tools import BaseToolkit

from callsmith.calls import run_call
from callsmith.chain import JSON, Call, Result
from callsmith.discovery import Found
from callsmith.errors import CallsmithError, PluginError
from callsmith.functionfiles import load_functions
from callsmith.functions import Context, FunctionPack, functions_hash
from callsmith.isolation import Workers
from callsmith.plugins import Registry

SHAPES = """
    import datetime as dt
    import os
    from math import floor

    from beside_shapes import SIDES

    print("hello")

    def area(width: float, height: float) -> float:
        \"\"\"The area of a rectangle.\"\"\"
        return _product(width, height)

    def sides(shape: str) -> int:
        \"\"\"How many sides a shape has.\"\"\"
        return SIDES[shape]

    def process(day: dt.date) -> int:
        \"\"\"The process that this runs in.\"\"\"
        return os.getpid()

    def _product(a, b):
        return a * b
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def put(text: str, name: str = "statistics.py") -> Path:
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path / name

    return put


async def run(path: Path, name: str, workers: Workers, **arguments: JSON) -> Result:
    functions = Registry(Found()).functions([str(path)])
    return await run_call(Call(name, arguments), functions, Context(), workers)


async def test_every_public_function_of_a_file_is_one_and_runs_in_a_worker(
    write: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    write("SIDES = {'square': 4}", "beside_shapes.py")
    path = write(SHAPES)  # called like a module of Python's own
    assert list(load_functions(path)) == ["area", "sides", "process"]
    assert load_functions(path)["area"].qualified_name == "statistics.area"
    async with Workers(1) as workers:
        assert (await run(path, "area", workers, width=2, height=3)).value == 6
        assert (await run(path, "sides", workers, shape="square")).value == 4
        process = await run(path, "process", workers, day="2024-01-01")
        assert process.value not in (None, os.getpid())
        wrong = (await run(path, "process", workers, day="soon")).fault
    assert wrong is not None
    assert wrong.kind == "bad_arguments"
    assert wrong.message.startswith("process's 'day' is wrong: input should be a valid date")
    assert wrong.message.endswith("Usage: process(day: string (date)) -> integer")
    assert capfd.readouterr().out == ""


def test_where_some_are_marked_the_others_are_helpers(write: Callable[..., Path]) -> None:
    path = write("""
        from langchain_core.tools import tool

        from callsmith import function
        from callsmith.control import reasoning

        def helper(x):
            return x

        @function(examples=[{"n": 2}], inline=True)
        def double(n: int) -> int:
            \"\"\"Double n.\"\"\"
            return 2 * helper(n)

        @tool
        def half(n: int) -> float:
            \"\"\"Halve n.\"\"\"
            return n / 2
    """)
    assert list(load_functions(path)) == ["double", "half"]


async def test_a_changed_file_is_other_functions_and_no_worker_takes_one_for_the_other(
    write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    text = 'def f(n: int) -> int:\n    """F."""\n    return n + 1\n'
    path = write(text)
    first = load_functions(path)
    assert functions_hash(load_functions(path).values()) == functions_hash(first.values())
    write(text.replace("+ 1", "+ 2"))
    assert functions_hash(load_functions(path).values()) != functions_hash(first.values())
    async with Workers(1) as workers:
        assert (await run(path, "f", workers, n=1)).value == 3
        old = await run_call(Call("f", {"n": 1}), first, Context(), workers)
    assert old.value == 2
    assert "was changed after it was first read" in caplog.text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\ndef f(:\n", r"bad\.py, line 2: invalid syntax"),
        ("x = 1", r"bad\.py has no functions: write a typed one with a docstring"),
        ("import nowhere_at_all", r"line 1: it can't be imported: ModuleNotFoundError: No module"),
        ("1 / 0", r"bad\.py, line 1: it can't be imported: ZeroDivisionError"),
        ("import sys\nsys.exit(3)", r"line 2: it can't be imported: SystemExit: 3"),
        ("def f(n: int): ...", r"bad\.py: function f has no docstring.* begin its name with _"),
        ("def f(n):\n    'F.'", r"bad\.py: f's parameter 'n' has no type: write n: float, say"),
        (
            "from callsmith import function\n\n@function\ndef f(n):\n    'F.'",
            r"bad\.py, line 3: f's parameter 'n' has no type: write n: float, say",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_answered_in_one_sentence(
    write: Callable[..., Path], text: str, sentence: str
) -> None:
    path = write(text, "bad.py")
    with pytest.raises(CallsmithError, match=sentence) as raised:
        load_functions(path)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CallsmithError, match=r"can't read .*none\.py: No such file"):
        load_functions(tmp_path / "none.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(CallsmithError, match=r"can't read .*folder\.py: Is a directory"):
        load_functions(tmp_path / "folder.py")


class Kit(BaseToolkit):
    broken: bool = False

    def get_tools(self):  # type: ignore[no-untyped-def]
        from langchain_core.tools import tool

        if self.broken:
            raise ValueError("no key")

        @tool
        def double(n: int) -> int:
            """Double n."""
            return 2 * n

        @tool
        def half(n: int) -> float:
            """Halve n."""
            return n / 2

        return [double, half]


async def test_a_whole_toolkit_is_a_pack(write: Callable[..., Path]) -> None:
    assert list(FunctionPack("", [Kit()]).named("kit")) == ["double", "half"]
    functions = Registry(Found()).functions([Kit()])  # type: ignore[list-item]
    assert (await run_call(Call("half", {"n": 3}), functions, Context(), Workers())).value == 1.5
    path = write("from test_kit import Kit\n\nkit = Kit()")
    write(f"import sys\nKit = sys.modules[{__name__!r}].Kit", "test_kit.py")
    assert list(load_functions(path)) == ["double", "half"]
    with pytest.raises(PluginError, match="the toolkit Kit gives no tools: no key"):
        FunctionPack("", [Kit(broken=True)]).named("kit")
