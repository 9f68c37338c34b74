"""``langchain-openai`` against real servers: llama.cpp, and one that has the bad days of all.

The tiny model writes its calls as text; calls that the server tells apart are of `tool_model`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from langchain_openai import ChatOpenAI
from llama_server import Server
from tool_model import calling, write_tool_gguf

from callsmith import solve
from callsmith.backends import Request, split_url
from callsmith.chain import Sampling
from callsmith.cli import callsmith
from callsmith.errors import BackendError, Rejected, Unavailable
from callsmith.functions import function
from callsmith.langchain import LangChainBackend, as_runnable
from callsmith.testing import OpenAIWire, check_backend

in_one_loop = pytest.mark.asyncio(loop_scope="module")
"""As in one program: connections belong to the loop that they were opened in."""

EGGS = "A box holds 6 eggs. How many eggs are in 4 boxes?"


@function(inline=True)
def multiply(a: int, b: int) -> int:
    """Multiply a by b."""
    return a * b


def chat_model(url: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="tiny", base_url=url, api_key="sk-test", max_retries=0, **settings)


def asking(text: str = EGGS, max_tokens: int = 24, **settings: Any) -> Request:
    sampling = Sampling(max_tokens=max_tokens, **settings)
    return Request(({"role": "user", "content": text},), sampling=sampling)


@pytest.fixture(scope="module")
def tool_server(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama.cpp server with a model that calls tools."""
    model = tmp_path_factory.mktemp("tools") / "tools.gguf"
    write_tool_gguf(tiny_gguf, model)
    with Server(model) as server:
        yield server.url


def asking_to_call() -> Request:
    sampling = Sampling(max_tokens=200, extra=calling())
    return replace(asking(), tools=(multiply.schema,), sampling=sampling)


# ---- turns --------------------------------------------------------------------------------------


@in_one_loop
async def test_it_solves_a_problem(llama_server: str) -> None:
    agent = as_runnable(
        model=chat_model(llama_server), task="wordproblems", dialect="text", max_tokens=48
    )
    chain = await agent.ainvoke(EGGS)
    assert (chain.stop, chain.answer) == ("answer", 24)
    assert [call.name for call in chain.calls] == ["multiply", "answer"]
    assert {step.model for step in chain.steps} == {"tiny"}
    assert all(step.usage.prompt and step.usage.completion for step in chain.steps)


@pytest.mark.parametrize("streamed", [False, True])
@in_one_loop
async def test_calls_that_the_server_tells_apart_are_calls(
    tool_server: str, streamed: bool
) -> None:
    request = replace(asking_to_call(), on_text=(lambda _: None) if streamed else None)
    said = await LangChainBackend(chat_model(tool_server)).complete(request)
    (call,) = said.calls
    assert call.id
    assert call.name == "multiply"
    assert not multiply.check(call.arguments)
    assert (said.text, said.finish) == ("", "tool_calls")
    assert said.usage.completion


@in_one_loop
async def test_what_came_back_is_sent_on_with_the_ids_of_the_calls(tool_server: str) -> None:
    backend = LangChainBackend(chat_model(tool_server))
    (call,) = (await backend.complete(asking_to_call())).calls
    called = {"name": call.name, "arguments": dict(call.arguments)}
    made = {"id": call.id, "type": "function", "function": called}
    messages = (
        {"role": "system", "content": "Use the functions."},
        *asking().messages,
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": "24"},
        {"role": "user", "content": "Error: go on"},
    )
    again = await backend.complete(replace(asking_to_call(), messages=messages))
    assert again.calls
    assert again.usage.prompt > 100


@in_one_loop
async def test_a_streamed_turn_is_the_same_turn(llama_server: str) -> None:
    pieces: list[str] = []
    backend = LangChainBackend(chat_model(llama_server))
    whole = await backend.complete(asking())
    streamed = await backend.complete(replace(asking(), on_text=pieces.append))
    assert "".join(pieces) == streamed.text == whole.text
    assert len(pieces) > 1
    assert (streamed.finish, streamed.model) == (whole.finish, whole.model)
    assert streamed.usage.completion == whole.usage.completion > 0


@in_one_loop
async def test_sampling_is_the_requests_whatever_the_factory_set(llama_server: str) -> None:
    model = chat_model(llama_server, temperature=0.0, max_tokens=2, seed=1, top_p=0.01)
    backend = LangChainBackend(model)
    hot = asking("Say anything.", temperature=2.0)
    texts = [(await backend.complete(replace(hot, seed=seed))).text for seed in (1, 2, 3, 1)]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3
    cut = await backend.complete(asking("Say anything.", max_tokens=3, temperature=2.0))
    assert (cut.finish, cut.usage.completion) == ("length", 3)
    held = asking("Say anything.", extra={"grammar": 'root ::= "yes"'})  # by name, to the server
    assert (await backend.complete(held)).text == "yes"


@in_one_loop
async def test_sixty_four_at_once_each_get_their_own_answer(llama_server: str) -> None:
    agent = as_runnable(
        model=chat_model(llama_server), task="wordproblems", dialect="text", max_tokens=48
    )
    eggs = range(2, 66)
    questions: list[Any] = [f"A box holds {n} eggs. How many eggs are in 4 boxes?" for n in eggs]
    chains = await agent.abatch(questions, {"max_concurrency": 64})
    assert [chain.calls[0].arguments for chain in chains] == [{"a": n, "b": 4} for n in eggs]


# ---- what goes wrong ----------------------------------------------------------------------------


async def failing(url: str, **settings: Any) -> BackendError:
    with pytest.raises(BackendError) as raised:
        await LangChainBackend(chat_model(url, **settings), "langchain:m").complete(asking())
    assert str(raised.value).startswith("langchain:m failed: ")
    return raised.value


@in_one_loop
async def test_what_the_user_must_mend_is_rejected(tiny_gguf: Path) -> None:
    with Server(tiny_gguf, api_key="sk-right") as server:
        error = await failing(server.url)
        assert type(error) is Rejected
        assert "401" in str(error)
        assert "sk-test" not in str(error)
        assert type(await failing(server.root + "/nowhere")) is Rejected


@in_one_loop
async def test_a_server_that_is_away_is_waited_for(tiny_gguf: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    error = await failing(nobody)
    assert type(error) is Unavailable
    assert "Connection error. (" in str(error)  # and why
    with Server(tiny_gguf) as server:
        agent = as_runnable(
            model=chat_model(server.url), task="wordproblems", dialect="text", max_tokens=48
        )
        assert (await agent.ainvoke(EGGS)).answer == 24
        server.kill()
        waiting = asyncio.create_task(agent.ainvoke(EGGS))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(server.start)
        assert (await waiting).answer == 24


@in_one_loop
async def test_a_turn_that_is_cancelled_lets_go_of_the_server(llama_server: str) -> None:
    backend = LangChainBackend(chat_model(llama_server))
    endless = asking("Say anything.", max_tokens=1500, extra={"ignore_eos": True})
    cancelled = False
    for _ in range(20):  # a turn may be whole before its cancelling is seen
        begun = asyncio.Event()
        request = replace(endless, on_text=lambda _, begun=begun: begun.set())
        turn = asyncio.create_task(backend.complete(request))
        await begun.wait()
        turn.cancel()
        (ended,) = await asyncio.gather(turn, return_exceptions=True)
        if cancelled := isinstance(ended, asyncio.CancelledError):
            break
    assert cancelled
    assert (await backend.complete(asking())).text


# langchain-openai itself stands between us and these; each is told as said.
KNOWN = {
    # It asks for no list of models, so that these are seen with the first turn.
    "a model that the server lacks is Rejected by prepare(), in one sentence that names it",
    "a server that is not there is Unavailable by prepare(), in one sentence with its address",
    # It drops what it does not know of an answer: the thoughts.
    "a turn comes back as the server gave it: text, calls, thoughts, tokens, and why it ended",
    "a turn comes back the same when it is streamed, and its pieces add up to its text",
    # Its error has neither status nor kind; before the first good turn this is Rejected.
    "when a server answers 200 with a page of HTML, complete() raises Unavailable",
    "when a server answers without a turn, complete() raises Unavailable",
    # Its connections are all models' of the process, and stay.
    "closing leaves no socket open",
}


@in_one_loop
async def test_on_bad_days_it_does_what_callsmiths_own_backends_do() -> None:
    def open_backend(spec: str) -> LangChainBackend:
        model, url = split_url(spec)
        chat = ChatOpenAI(model=model, base_url=url, api_key="sk-very-secret", max_retries=0)
        return LangChainBackend(chat, f"langchain:{model}")

    report = await check_backend(open_backend, wire=OpenAIWire(), secret="sk-very-secret")
    failed = {check.name for check in report.checks if check.outcome == "failed"}
    assert failed == KNOWN, report


# ---- by name ------------------------------------------------------------------------------------


@pytest.fixture
def factory(
    llama_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Writes code as ``my_models.py``, which finds the server as if it were OpenAI's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", llama_server)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def write(code: str) -> str:
        (tmp_path / "my_models.py").write_text(code)
        sys.modules.pop("my_models", None)
        return "langchain:my_models:teacher"

    return write


TEACHER = """\
from langchain_openai import ChatOpenAI

def teacher():
    return ChatOpenAI(model="tiny", max_retries=0)
"""


def test_one_program_can_solve_again_and_again(factory: Callable[[str], str]) -> None:
    settings: dict[str, Any] = {"task": "wordproblems", "dialect": "text", "max_tokens": 48}
    name = factory(TEACHER)
    # Each has an event loop of its own, and langchain-openai's connections outlive it.
    answers = [solve(EGGS, model=name, **settings).answer for _ in range(3)]
    agent = as_runnable(model=name, **settings)
    answers += [agent.invoke(EGGS).answer, agent.batch([EGGS])[0].answer]
    assert answers == [24] * 5


def test_a_question_asked_on_the_command_line_is_streamed(factory: Callable[[str], str]) -> None:
    name = factory(TEACHER)
    arguments = ["ask", EGGS, "-t", "wordproblems", "-m", name, "--dialect", "text"]
    result = CliRunner().invoke(callsmith, [*arguments, "--max-tokens", "48"])
    assert result.exit_code == 0, result.output
    assert "multiply(a=6, b=4) → 24" in result.output


def test_the_documents_examples_run(factory: Callable[[str], str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "langchain.md").read_text(encoding="utf-8")
    model, *blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (command,) = re.findall(r"^PYTHONPATH=. callsmith (.*)$", page, flags=re.MULTILINE)
    factory(model)
    asked = CliRunner().invoke(callsmith, [*command.split(), "--dialect", "text"])
    assert asked.exit_code == 0, asked.output
    assert len(blocks) == 4
    names: dict[str, Any] = {}
    said = StringIO()
    with redirect_stdout(said):
        for block in blocks:
            exec(compile(block, "docs/langchain.md", "exec"), names)
    expected = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(blocks), flags=re.MULTILINE)
    assert said.getvalue().splitlines() == expected
    assert len(expected) == 4
