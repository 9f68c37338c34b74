"""Against langchain_core's own fake chat models, which take what real ones take."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, ToolException, tool

from callsmith.agent import solve
from callsmith.backends import Request
from callsmith.calls import run_call
from callsmith.chain import Call, Chain, Dialect, Problem, Sampling, Usage
from callsmith.control import answer_function
from callsmith.dialects import Prompt
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    ModelFault,
    PluginError,
    RateLimited,
    Rejected,
    Unavailable,
)
from callsmith.functions import Context, FunctionPack, function
from callsmith.isolation import Workers
from callsmith.langchain import LangChainBackend, as_tool, from_tool
from callsmith.plugins import load_registry


@function(inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


FUNCTIONS = {"add": add, "answer": answer_function({"type": "number"})}


class ToolModel(BaseChatModel):
    """Says the given messages in order, and keeps what it was asked."""

    says: list[Any]
    asked: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it
    settings: list[dict[str, Any]] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "tool-model"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):  # type: ignore[no-untyped-def]
        self.asked.append(messages)
        self.settings.append(kwargs | {"stop": stop})
        said = self.says[len(self.asked) - 1]
        if isinstance(said, Exception):
            raise said
        return ChatResult(generations=[ChatGeneration(message=said)])


def calling(name: str, id: str = "c1", **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": id}])


async def chain_of(model: BaseChatModel, dialect: Dialect) -> Chain:
    prompt = Prompt("Solve it.", FUNCTIONS, dialect=dialect)
    async with Workers() as workers:
        return await solve(
            Problem("1 + 2?"),
            LangChainBackend(model),
            prompt,
            workers,
            sampling=Sampling(0.5, 0.9, 99, ("END",), {"top_k": 5}),
            seed=7,
        )


# ---- chat models as backends --------------------------------------------------------------------


async def test_a_model_that_only_talks_works_in_the_text_dialect() -> None:
    model = GenericFakeChatModel(messages=iter(["add(a=1, b=2)", AIMessage("answer(value=3)")]))
    assert LangChainBackend(model).capabilities.dialects == ("text",)
    chain = await chain_of(model, "text")
    assert (chain.stop, chain.answer) == ("answer", 3)


async def test_a_model_with_tools_is_given_them_and_sees_results_by_their_ids() -> None:
    used = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
    first = calling("add", a=1, b=2)
    first.usage_metadata = used  # type: ignore[assignment]
    first.response_metadata = {"model_name": "m-1", "finish_reason": "tool_calls"}
    model = ToolModel(says=[first, calling("answer", "c2", value=3)])
    assert LangChainBackend(model).capabilities.dialects == ("native", "text")
    chain = await chain_of(model, "native")
    assert (chain.stop, chain.answer, chain.usage) == ("answer", 3, Usage(11, 5))
    assert (chain.steps[0].model, chain.steps[0].finish) == ("m-1", "tool_calls")
    offered = [t["function"]["name"] for t in model.settings[0]["tools"]]
    assert offered == ["add", "answer"]
    assert [message.type for message in model.asked[1]] == ["system", "human", "ai", "tool"]
    called, result = model.asked[1][2:]
    assert isinstance(called, AIMessage)
    assert called.tool_calls[0]["args"] == {"a": 1, "b": 2}
    assert (result.content, result.tool_call_id) == ("3", "c1")  # type: ignore[attr-defined]


async def test_sampling_and_the_chains_seed_reach_the_model() -> None:
    model = ToolModel(says=[calling("answer", value=3)])
    await chain_of(model, "native")
    sent = {key: value for key, value in model.settings[0].items() if key != "tools"}
    assert sent == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 99,
        "stop": ["END"],
        "seed": 7,
        "top_k": 5,
    }


async def test_calls_that_langchain_could_not_read_are_the_models_fault() -> None:
    wrong = {"type": "invalid_tool_call", "id": "1", "name": "add", "args": '{"a": ', "error": None}
    broken = AIMessage("", invalid_tool_calls=[wrong])  # type: ignore[list-item]
    chain = await chain_of(ToolModel(says=[broken, calling("answer", value=3)]), "native")
    assert chain.stop == "answer"
    assert chain.steps[0].text == '{"a": '
    assert [(f.kind, f.message) for f in chain.faults] == [
        ("model", "the call of add can't be read: it is no JSON")
    ]


class ProviderError(Exception):
    def __init__(self, status: int, message: str = "", **headers: str) -> None:
        super().__init__(message)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = SimpleNamespace(status_code=status, headers=names)


class APIConnectionError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("refused"), Unavailable),
        (TimeoutError("late"), Unavailable),
        (APIConnectionError("no route"), Unavailable),
        (ProviderError(503), Unavailable),
        (ProviderError(429), RateLimited),
        (ProviderError(401, "wrong key"), Rejected),
        (ProviderError(400, "maximum context length is 8192 tokens"), ContextOverflow),
        (ValueError("no such model"), Rejected),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
async def test_errors_are_typed_by_who_must_act(error: Exception, kind: type[BackendError]) -> None:
    backend = LangChainBackend(ToolModel(says=[error]), "langchain:m")
    with pytest.raises(BackendError) as raised:
        await backend.complete(Request(({"role": "user", "content": "hi"},)))
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"langchain:m failed: {type(error).__name__}")


async def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    for asked, wait in [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)]:
        backend = LangChainBackend(ToolModel(says=[ProviderError(429, retry_after=asked)]))
        with pytest.raises(RateLimited) as raised:
            await backend.complete(Request(({"role": "user", "content": "hi"},)))
        assert raised.value.retry_after == wait


# ---- by name ------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        name = f"models_of_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(code)
        sys.modules.pop(name, None)
        return name

    return write


async def test_a_model_is_named_by_the_factory_that_gives_it(module: Callable[[str], str]) -> None:
    name = module(
        "from langchain_core.language_models import GenericFakeChatModel\n"
        "def model():\n"
        "    return GenericFakeChatModel(messages=iter(['hello']))\n"
    )
    backend = load_registry().backend(f"langchain:{name}:model")
    assert backend.name == f"langchain:{name}:model"
    said = await backend.complete(Request(({"role": "user", "content": "hi"},)))
    assert said.text == "hello"
    await backend.close()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("langchain:nothing", "names no factory: write langchain:package.module:factory"),
        ("langchain:no_such_module:model", "No module named 'no_such_module'; is its folder on"),
        ("langchain:json:model", "has no attribute 'model'; is its folder on PYTHONPATH"),
        ("langchain:builtins:dict", "langchain:builtins:dict gives a dict, not a chat model"),
    ],
)
def test_a_factory_that_is_none_is_refused(spec: str, sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        load_registry().backend(spec)


def test_a_factory_that_fails_is_named(module: Callable[[str], str]) -> None:
    name = module("def model():\n    raise KeyError('API_KEY')\n")
    with pytest.raises(PluginError, match=r"'langchain'.*can't be used: KeyError: 'API_KEY'"):
        load_registry().backend(f"langchain:{name}:model")


# ---- tools as functions -------------------------------------------------------------------------


@tool("look-up")
def look_up(word: str, times: int = 1) -> str:
    """Look a word up."""
    if word == "nothing":
        raise ToolException("there is no such word")
    return f"{word} " * times


@tool
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "waited"


async def run(chosen: BaseTool, **arguments: Any) -> Any:
    made = from_tool(chosen)
    call = Call(made.name, arguments)
    return await run_call(call, {made.name: made}, Context(), Workers())


async def test_a_tool_is_a_function_with_its_schema() -> None:
    made = from_tool(look_up)
    assert made.signature == "look_up(word: string, times: integer = 1)"
    assert made.description == "Look a word up."
    assert (await run(look_up, word="hen", times=2)).value == "hen hen "
    assert (await run(wait, seconds=0)).value == "waited"


async def test_a_tools_bad_arguments_and_failures_are_faults() -> None:
    for arguments, kind, why in [
        ({}, "bad_arguments", "look_up needs 'word'"),
        ({"word": 5}, "bad_arguments", "5 is not of type 'string'"),
        ({"word": "x", "colour": 1}, "bad_arguments", "no argument 'colour'"),
        ({"word": "nothing"}, "function_error", "there is no such word"),
    ]:
        fault = (await run(look_up, **arguments)).fault
        assert fault.kind == kind
        assert why in fault.message


def test_a_tool_without_description_is_refused() -> None:
    bare = look_up.model_copy(update={"description": ""})
    with pytest.raises(PluginError, match="look-up has no description"):
        from_tool(bare)


def test_tools_stand_beside_functions_wherever_functions_are_named() -> None:
    registry = load_registry()
    chosen = registry.functions([add, look_up, wait])
    assert list(chosen) == ["add", "look_up", "wait"]
    pack = FunctionPack("Words.", [add, look_up]).named("words")  # type: ignore[list-item]
    assert pack["look_up"].qualified_name == "words.look_up"
    with pytest.raises(PluginError, match="5 is no function: give a typed Python function"):
        registry.functions([5])  # type: ignore[list-item]


# ---- functions as tools -------------------------------------------------------------------------


async def test_a_function_is_a_tool_with_its_schema() -> None:
    made = as_tool(add)
    assert (made.name, made.description) == ("add", "Add b to a.")
    assert made.args == add.properties
    assert made.invoke({"a": 1, "b": 2}) == 3
    assert await made.ainvoke({"a": 1, "b": 2}) == 3
    assert made.invoke({"type": "tool_call", "id": "1", "name": "add", "args": {"a": 1, "b": 2}})
    with pytest.raises(ToolException, match=r"add needs 'b'\. Usage: add"):
        made.invoke({"a": 1})


async def test_an_async_function_is_an_async_tool() -> None:
    @function
    async def double(a: int) -> int:
        """Double it."""
        await asyncio.sleep(0)
        return 2 * a

    assert await as_tool(double).ainvoke({"a": 2}) == 4


async def test_a_tool_made_of_a_function_is_that_function_again() -> None:
    again = from_tool(as_tool(add))
    assert (again.name, again.description, again.parameters) == (
        (add.name, add.description, add.parameters)
    )
    result = await run(as_tool(add), a=1, b=2)
    assert result.value == 3


def test_a_model_fault_has_the_models_words() -> None:
    assert ModelFault("no", text="{").text == "{"
