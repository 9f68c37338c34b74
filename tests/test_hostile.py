"""What a model writes is hostile input: the table of what was tried, each with its outcome.

Each row is one chain among 64. The other 63 must come to their answers, and none of what the row
does may take the loop's thread for itself: what it costs there is measured in CPU seconds, which
a busy machine does not change. SECURITY.md says what is defended.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile_functions
import pytest
import pytest_asyncio

from callsmith.agent import solve
from callsmith.backends import Completion, Request, ScriptedBackend
from callsmith.chain import Call, Chain, Problem
from callsmith.control import answer_function
from callsmith.dialects import Prompt
from callsmith.functions import Function
from callsmith.isolation import Workers
from callsmith.plugins import load_registry

in_one_loop = pytest.mark.asyncio(loop_scope="module")

OTHERS = 63
MEGABYTES = "9" * 10_000_000
DEEP = "[" * 100_000 + "]" * 100_000
STUBBORN = "(x^2 + y^2 + z^2 + w^2 + 1)^12 - (x + y + z + w)^12"
EXPONENTIAL = " or ".join(f"(p{n} and q{n})" for n in range(25))
SUCCESSORS = [
    "forall x exists y Less(x, y)",
    "forall x forall y forall z (Less(x, y) and Less(y, z) -> Less(x, z))",
    "forall x not Less(x, x)",
]
"""True in infinite worlds only."""


def native(name: str, **arguments: Any) -> Completion:
    return Completion(calls=(Call(name, arguments),))


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


TABLE: dict[str, tuple[str | Completion, str, str]] = {
    # ---- numbers
    "9**9**9": ("evaluate(expression='9**9**9')", "function_error", "the result is too large"),
    "9**9**9 with sympy": ("simplify(expression='9**9**9')", "function_error", "too large"),
    "a tower": ("evaluate(expression='2^(3^(4^5))')", "function_error", "too large"),
    "a factorial": ("math_factorial(n=1000000000)", "function_error", "the result is too large"),
    "a factorial as text": ("evaluate(expression='(10^9)!')", "function_error", "too large"),
    "digits": (f"evaluate(expression={'9' * 5000})", "unparsable", ""),
    "Python's own power": ("power(9, 387420489)", "timeout", "longer than 1 s and was stopped"),
    "Python's own factorial": ("factorial(1000000000)", "timeout", "longer than 1 s"),
    # ---- texts
    "10 MB as text": (f"evaluate(expression='{MEGABYTES}')", "unparsable", "evaluate(…)"),
    "10 MB native": (native("evaluate", expression=MEGABYTES), "unparsable", "longer than 20,000"),
    "10 MB of prose": ("so " * 3_333_333, "no_call", ""),
    "a million numbers": (native("sum", values=[1.5] * 10**6), "unparsable", "longer than 20,000"),
    "100,000 brackets": (f"sum(values={DEEP})", "unparsable", "nested"),
    "100,000 brackets in a text": (
        native("evaluate", expression="(" * 100_000),
        "unparsable",
        "longer than 20,000",
    ),
    "60 brackets in a text": (
        f"evaluate(expression='{'(' * 60}1{')' * 60}')",
        "function_error",
        "nested more than 50 deep",
    ),
    "nested lists": (native("sum", values=deep(500)), "unparsable", "nested more than 20 deep"),
    "200,000 minus signs": (f"evaluate(expression={'-' * 200_000}1)", "unparsable", ""),
    "a regex bomb": ("search('(a+)+$', '" + "a" * 60 + "!')", "timeout", "longer than 1 s"),
    "a bomb for our own": ("f(" * 9_000 + "'" + " ." * 900, "unparsable", ""),
    # ---- algebra and logic
    "never factors": (f"factor(expression='{STUBBORN}')", "timeout", "longer than 2 s"),
    "never ends": ("expand(expression='(a+b+c+d+f+g)^40')", "timeout", "longer than 2 s"),
    "a normal form": (
        f"normal_form(formula='{EXPONENTIAL}', form='cnf')",
        "timeout",
        "longer than 2 s",
    ),
    "a truth table": (
        f"truth_table(formula='{' xor '.join(f'p{n}' for n in range(30))}')",
        "function_error",
        "at most 6",
    ),
    "nots": (f"normalise(formula='{'not ' * 400}p')", "function_error", "nested more than 50"),
    "quantifiers": (
        f"normalise(formula='{'forall x ' * 200}P(x)')",
        "function_error",
        "nested more than 50",
    ),
    "no finite world": (
        f"counter_model(premises={SUCCESSORS}, conclusion='exists x P(x)')",
        "function_error",
        "could not be decided within the limits",
    ),
    # ---- functions that do what they must not
    "memory": ("fill(2000)", "memory", "more than 200 MiB"),
    "a segmentation fault": ("crash()", "crash", "SIGSEGV"),
    "os._exit": ("leave()", "crash", "ended its process with status 0"),
    "sys.exit inline": ("quit_inline()", "function_error", "quit_inline: 0"),
    "an error that can't be said": ("unspeakable()", "function_error", "Unspeakable"),
    "10 MB of result": ("shout(10000000)", "bad_result", "10,000,002 characters"),
    "a deep result": ("nest(100000)", "bad_result", "no JSON value"),
    "a long refusal": ("refuse(10000000)", "function_error", "xxx"),
    # ---- names
    "a dunder": ("__import__('os').system('true')", "unknown_function", "__import__"),
    "an attribute": ("evaluate.__globals__()", "unknown_function", "no function '__globals__'"),
    "code as an argument": ("evaluate(expression=open('/etc/passwd'))", "unparsable", ""),
    "code in an expression": (
        "evaluate(expression='__import__(1)')",
        "function_error",
        "there is no function '__import__'",
    ),
    "a format string": (
        "evaluate(expression='{0.__class__}')",
        "function_error",
        "'{' has no meaning",
    ),
}
"""What the model writes, the fault it is answered with, and a piece of the sentence."""

SLOW = ("factor", "expand", "normal_form")


def functions() -> dict[str, Function]:
    """Ours, the hostile ones, and the control function; the slow ones with a shorter limit."""
    ours = load_registry().functions(
        [
            *(f"math.{n}" for n in ("evaluate", "simplify", "sum", "factor", "expand")),
            *(f"logic.{n}" for n in ("normal_form", "truth_table", "normalise", "counter_model")),
        ]
    )
    chosen = {n: replace(f, timeout=2) if n in SLOW else f for n, f in ours.items()}
    chosen["math_factorial"] = replace(
        load_registry().functions(["math.factorial"])["factorial"], name="math_factorial"
    )
    for name, value in vars(hostile_functions).items():
        if isinstance(value, Function):
            chosen[name] = value
    return chosen | {"answer": answer_function({"type": "number"})}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncIterator[Workers]:
    async with Workers() as pool:
        # What the rows call of sympy and the provers is imported before any limit runs.
        warm = (
            "simplify(expression='x')",
            "normal_form(formula='p', form='cnf')",
            "counter_model(premises=['P(a)'], conclusion='Q(a)')",
        )
        for turn in warm:
            await run_chain(pool, [turn, "answer(value=0)"])
        yield pool


async def run_chain(workers: Workers, turns: list[Any], number: int = 0) -> Chain:
    prompt = Prompt("Solve it.", functions())
    return await solve(Problem(f"{number}?"), ScriptedBackend(turns), prompt, workers)


async def honest(workers: Workers, number: int) -> Chain:
    """Calls one function in a worker and one in the loop, and answers with what they gave."""

    def last(request: Request) -> Any:
        return request.steps[-1].results[-1].value

    turns: list[str | Callable[[Request], str]] = [
        f"double({number})",
        lambda request: f"evaluate(expression='{last(request)} + 1')",
        lambda request: f"answer(value={last(request)})",
    ]
    return await run_chain(workers, turns, number)


@in_one_loop
@pytest.mark.parametrize("name", TABLE)
async def test_it_is_answered_and_63_other_chains_go_on(workers: Workers, name: str) -> None:
    turn, kind, said = TABLE[name]
    began = time.thread_time()
    hostile, *others = await asyncio.gather(
        run_chain(workers, [turn, "answer(value=0)"]),
        *(honest(workers, number) for number in range(OTHERS)),
    )
    assert time.thread_time() - began < 2.5, "the loop was held up"
    assert [chain.answer for chain in others] == [2 * n + 1 for n in range(OTHERS)]
    assert not [fault for chain in others for fault in chain.faults]
    # The hostile chain itself goes on, too.
    assert (hostile.stop, hostile.answer) == ("answer", 0)
    fault = hostile.faults[0]
    assert fault.kind == kind
    assert said in fault.message
    assert len(fault.message) < 2_000


@in_one_loop
async def test_63_chains_end_while_another_computes(workers: Workers, tmp_path: Path) -> None:
    """No clock decides here: the call ends only once the others have."""
    file = tmp_path / "all others have ended"
    waiting = asyncio.create_task(
        run_chain(workers, [f"wait_for({str(file)!r})", "answer(value=0)"])
    )
    others = await asyncio.gather(*(honest(workers, number) for number in range(OTHERS)))
    assert [chain.answer for chain in others] == [2 * n + 1 for n in range(OTHERS)]
    assert not waiting.done()
    file.touch()
    assert (await waiting).steps[0].results[0].value == "seen"


@in_one_loop
async def test_children_of_children_are_killed_with_it(workers: Workers, tmp_path: Path) -> None:
    chain = await run_chain(workers, [f"breed({str(tmp_path)!r})", "answer(value=0)"])
    assert chain.faults[0].kind == "timeout"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    while any(_is_running(pid) for pid in pids):  # SIGKILL is sent; they end when they are run
        await asyncio.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@in_one_loop
async def test_a_large_result_is_cut_and_the_model_is_told(workers: Workers) -> None:
    chain = await run_chain(workers, ["shout(50000)", "answer(value=0)"])
    (result, _) = chain.results
    assert len(result.value) < 4_100
    assert result.value.endswith("… (cut: 50,000 characters in all)")


# ---- where model text never goes ----------------------------------------------------------------

CANARY = "canary_of_a_model"

LISTENER = f"""
import json, sys

from callsmith.chain import Problem
from callsmith.functions import Context
from callsmith.plugins import load_registry
from callsmith.reading import read_calls

functions = {{}}
for pack in ("math", "logic"):
    functions |= load_registry().pack(pack)
for function in functions.values():
    function.validator, function.results  # everything is imported
heard = []

def listen(event, arguments):
    if event != "object.__getattr__" and "{CANARY}" in repr(arguments):
        heard.append([event, repr(arguments)[:200]])

def fill(schema, text):
    if schema.get("type") == "array":
        return [fill(schema["items"], text)] * 2
    if schema.get("type") == "object":
        return {{text: 1}}
    if "enum" in schema:
        return schema["enum"][0]
    return text if schema.get("type") == "string" or "anyOf" in schema else 2

sys.addaudithook(listen)
shapes = "C", "C + 1 = 2", "C(x)", "P(C)", "C.x", "{{C}}", "sqrt(C)^C", "C -> C"
for text in (shape.replace("C", "{CANARY}") for shape in shapes):
    for function in functions.values():
        arguments = {{n: fill(s, text) for n, s in function.properties.items()}}
        try:
            function.invoke(arguments, Context(Problem(text)))
        except Exception:
            pass
    read_calls(f"evaluate(expression='{{text}}')", functions)
print(json.dumps(heard))
"""


def test_no_function_of_ours_compiles_opens_or_runs_what_a_model_wrote() -> None:
    """Python itself tells: its audit events name all that is compiled, imported, opened, run."""
    done = subprocess.run(
        [sys.executable, "-c", LISTENER], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout)
    # The reader parses literals, after its scanner has let nothing else through.
    literals = [event for event in heard if event[0] == "compile" and "'<unknown>'" in event[1]]
    assert literals, "the listener hears nothing"
    assert [event for event in heard if event not in literals] == []


def test_a_listener_would_hear_it() -> None:
    code = textwrap.dedent(f"""
        import sys
        heard = []
        sys.addaudithook(lambda event, arguments: heard.append((event, repr(arguments))))
        import sympy
        sympy.sympify("{CANARY} + 1")
        assert any(event == "compile" and "{CANARY}" in said for event, said in heard)
    """)
    subprocess.run([sys.executable, "-c", code], check=True)
