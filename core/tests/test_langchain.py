"""Against langchain_core's own fake chat models, which take what real ones take."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, ToolException, tool
from pydantic import SecretStr

from callsmith.agent import solve
from callsmith.backends import Completion, Request
from callsmith.calls import run_call
from callsmith.chain import Call, Chain, Dialect, Problem, Sampling, Usage
from callsmith.control import answer_function
from callsmith.dialects import Prompt
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    DataError,
    ModelFault,
    PluginError,
    RateLimited,
    Rejected,
    Unavailable,
)
from callsmith.functions import Context, FunctionPack, function
from callsmith.isolation import Workers
from callsmith.langchain import LangChainBackend, as_runnable, as_tool, as_tools, from_tool
from callsmith.plugins import load_registry


@function(inline=True)
def add(a: float, b: float) -> float:
    """Add b to a."""
    return a + b


FUNCTIONS = {"add": add, "answer": answer_function({"type": "number"})}


class ToolModel(BaseChatModel):
    """Says the given messages in order, and keeps what it was asked, and with which settings."""

    says: list[Any]
    temperature: float | None = None
    top_p: float | None = 0.7
    max_output_tokens: int = 256
    seed: int | None = None
    asked: list[list[BaseMessage]] = []  # noqa: RUF012 - pydantic copies it
    settings: list[dict[str, Any]] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "tool-model"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):  # type: ignore[no-untyped-def]
        self.asked.append(messages)
        names = ("temperature", "top_p", "max_output_tokens", "seed")
        own = {name: getattr(self, name) for name in names}
        self.settings.append({"stop": stop, **own, **kwargs})
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


def asking() -> Request:
    return Request(({"role": "user", "content": "hi"},))


async def complete(said: AIMessage | Exception) -> Completion:
    return await LangChainBackend(ToolModel(says=[said])).complete(asking())


# ---- chat models as backends --------------------------------------------------------------------


async def test_a_model_that_only_talks_works_in_the_text_dialect() -> None:
    model = GenericFakeChatModel(messages=iter(["add(a=1, b=2)", AIMessage("answer(value=3)")]))
    assert LangChainBackend(model).capabilities.dialects == ("text", "json")
    chain = await chain_of(model, "text")
    assert (chain.stop, chain.answer) == ("answer", 3)


async def test_a_model_with_tools_is_given_them_and_sees_results_by_their_ids() -> None:
    used = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
    first = calling("add", a=1, b=2)
    first.usage_metadata = used  # type: ignore[assignment]
    first.response_metadata = {"model_name": "m-1", "finish_reason": "tool_calls"}
    model = ToolModel(says=[first, calling("answer", "c2", value=3)])
    assert LangChainBackend(model).capabilities.dialects == ("native", "text", "json")
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


async def test_sampling_is_set_in_the_models_own_fields_turn_by_turn() -> None:
    model = ToolModel(says=[calling("add", a=1, b=2), calling("answer", "c2", value=3)])
    await chain_of(model, "native")
    for turn, sent in enumerate(model.settings):
        assert {key: value for key, value in sent.items() if key != "tools"} == {
            "temperature": 0.5,
            "top_p": 0.9,
            "max_output_tokens": 99,
            "stop": ["END"],
            "seed": 7 + turn,
            "top_k": 5,
        }
    assert (model.temperature, model.seed) == (None, None)


async def test_what_a_model_has_no_setting_for_is_said_and_not_sent(
    module: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    class Strict(ToolModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None):  # type: ignore[no-untyped-def, override]
            return super()._generate(messages, stop)

    plain = LangChainBackend(GenericFakeChatModel(messages=iter(["hi"])))
    assert not plain.capabilities.samples
    assert LangChainBackend(Strict(says=[])).capabilities.samples
    said = await LangChainBackend(Strict(says=[AIMessage("hi")])).complete(asking())
    assert said.text == "hi"
    name = module(
        "from langchain_core.language_models import GenericFakeChatModel\n"
        "class Model(GenericFakeChatModel):\n"
        "    temperature: float = 1\n"
        "    max_tokens: int = 9\n"
        "def model():\n"
        "    return Model(messages=iter([]))\n"
    )
    load_registry().backend(f"langchain:{name}:model")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"langchain:{name}:model has no setting for top_p and seed, which it is not told"
    )


async def test_tools_are_for_models_that_bind_them_and_are_not_known_to_refuse_them() -> None:
    able = LangChainBackend(ToolModel(says=[])).capabilities
    assert (able.dialects[0], able.reason) == ("native", "ToolModel takes tools")
    talks = LangChainBackend(FakeListChatModel(responses=["hi"])).capabilities
    assert (talks.dialects[0], talks.reason) == ("text", "FakeListChatModel takes no tools")
    known = ToolModel(says=[], profile={"tool_calling": False})
    assert LangChainBackend(known).capabilities.dialects == ("text", "json")
    with pytest.raises(Rejected, match="can't hold a model to valid calls: leave out --constrain"):
        await as_runnable(model=known, constrain=True).ainvoke("1 + 2?")


async def test_calls_that_langchain_could_not_read_are_the_models_fault() -> None:
    wrong = {"type": "invalid_tool_call", "id": "1", "name": "add", "args": '{"a": ', "error": None}
    good = {"type": "tool_call", "id": "2", "name": "add", "args": {"a": 1, "b": 2}}
    broken = AIMessage("So:", tool_calls=[good], invalid_tool_calls=[wrong])  # type: ignore[list-item]
    chain = await chain_of(ToolModel(says=[broken, calling("answer", value=3)]), "native")
    assert chain.stop == "answer"
    step = chain.steps[0]
    assert step.text == (
        'So:\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n{"name": "add", "arguments": {"a": }'
    )
    assert (step.calls, step.fault and step.fault.kind) == ((), "model")
    assert step.fault
    assert step.fault.message.startswith("the arguments of add are no JSON: Expecting value")


async def test_a_call_that_was_cut_off_is_truncated_and_never_mended() -> None:
    piece = {"type": "tool_call_chunk", "id": "1", "name": "add", "args": '{"a": 1', "index": 0}
    whole = AIMessageChunk("", tool_call_chunks=[piece])  # type: ignore[list-item]
    assert whole.tool_calls[0]["args"] == {"a": 1}  # as LangChain mends it
    for finish, kind in [("length", "truncated"), ("stop", "model")]:
        whole.response_metadata = {"finish_reason": finish}
        chain = await chain_of(ToolModel(says=[whole, calling("answer", value=3)]), "native")
        assert [fault.kind for fault in chain.faults] == [kind]
        assert chain.steps[0].text == '{"name": "add", "arguments": {"a": 1}'


async def test_what_providers_say_of_a_turn_is_read_wherever_they_put_it() -> None:
    for facts, finish in [
        ({"finish_reason": "tool_calls"}, "tool_calls"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"done_reason": "length"}, "length"),
        ({"stopReason": "end_turn"}, "end_turn"),
        ({}, "stop"),
    ]:
        said = await complete(AIMessage("hi", response_metadata=facts))
        assert said.finish == finish
    thinking = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]
    summary = [{"type": "summary_text", "text": "hm"}]
    reasoning = [{"type": "reasoning", "summary": summary}, {"type": "text", "text": "hi"}]
    for message in [
        AIMessage("hi", additional_kwargs={"reasoning_content": "hm"}),
        AIMessage(thinking),  # type: ignore[arg-type]
        AIMessage(thinking, response_metadata={"model_provider": "anthropic"}),  # type: ignore[arg-type]
        AIMessage(reasoning, response_metadata={"model_provider": "openai"}),  # type: ignore[arg-type]
        AIMessage("<think>hm</think>hi"),
    ]:
        said = await complete(message)
        assert (said.text, said.reasoning) == ("hi", "hm")
    used = UsageMetadata(
        input_tokens=11,
        output_tokens=5,
        total_tokens=16,
        input_token_details={"cache_read": 4},
        output_token_details={"reasoning": 3},
    )
    assert (await complete(AIMessage("hi", usage_metadata=used))).usage == Usage(11, 5, 4, 3)


async def test_a_turn_is_streamed_where_somebody_looks_on() -> None:
    for model in [
        FakeListChatModel(responses=["add(a=1, b=2)"]),
        GenericFakeChatModel(messages=iter(["add(a=1, b=2)"])),
        FakeMessagesListChatModel(responses=[AIMessage("add(a=1, b=2)")]),  # it can't
    ]:
        pieces: list[str] = []
        request = replace(asking(), on_text=pieces.append)
        said = await LangChainBackend(model).complete(request)
        assert "".join(pieces) == said.text == "add(a=1, b=2)"
        assert (len(pieces) > 1) == (type(model) is not FakeMessagesListChatModel)


async def test_a_stream_that_breaks_is_typed_like_any_error() -> None:
    model = FakeListChatModel(responses=["add(a=1, b=2)"], error_on_chunk_number=3)
    with pytest.raises(Rejected, match="langchain failed: FakeListChatModelError"):
        await LangChainBackend(model).complete(replace(asking(), on_text=lambda _: None))


class ProviderError(Exception):
    def __init__(self, status: int, message: str = "", **headers: str) -> None:
        super().__init__(message)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = SimpleNamespace(status_code=status, headers=names)


class APIConnectionError(Exception):
    pass


class ReadTimeout(Exception):
    pass


class ModelAPIError(Exception):
    is_retryable = True


class ContextOverflowError(Exception):
    pass


class ClientError(Exception):
    response = {"ResponseMetadata": {"HTTPStatusCode": 503}, "Error": {"Code": "Slow"}}  # noqa: RUF012


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("refused"), Unavailable),
        (TimeoutError("late"), Unavailable),
        (APIConnectionError("no route"), Unavailable),
        (ReadTimeout("late"), Unavailable),
        (ModelAPIError("busy"), Unavailable),
        (ProviderError(503), RateLimited),
        (ClientError("slow down"), RateLimited),
        (ProviderError(429), RateLimited),
        (ProviderError(401, "wrong key"), Rejected),
        (ProviderError(400, "maximum context length is 8192 tokens"), ContextOverflow),
        (ContextOverflowError("too much"), ContextOverflow),
        (ValueError("no such model"), Rejected),
        (TypeError("create() got an unexpected keyword argument 'top_k'"), Rejected),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
async def test_errors_are_typed_by_who_must_act(error: Exception, kind: type[BackendError]) -> None:
    backend = LangChainBackend(ToolModel(says=[error]), "langchain:m")
    with pytest.raises(BackendError) as raised:
        await backend.complete(asking())
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"langchain:m failed: {type(error).__name__}: {error}")


async def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    for asked, wait in [("7", 7.0), ("0.5", 0.5), (past, 0.0), ("", None)]:
        with pytest.raises(RateLimited) as raised:
            await complete(ProviderError(429, retry_after=asked))
        assert raised.value.retry_after == wait


async def test_what_ollamas_model_wrote_wrong_is_no_failure_of_the_server() -> None:
    with pytest.raises(ModelFault, match="error parsing tool call"):
        await complete(ProviderError(500, "error parsing tool call: raw='{'"))
    parsing = OutputParserException("Invalid JSON", llm_output='{"a": ')
    with pytest.raises(ModelFault, match="Invalid JSON") as raised:
        await complete(parsing)
    assert raised.value.turn.text == '{"a": '


async def test_a_key_that_a_server_repeats_is_in_no_error() -> None:
    class Keyed(ToolModel):
        key: SecretStr = SecretStr("sk-secret")

    refused = ProviderError(401, "Incorrect API key provided: sk-secret")
    backend = LangChainBackend(Keyed(says=[refused]))
    with pytest.raises(Rejected, match=r"provided: \*\*\*") as raised:
        await backend.complete(asking())
    shown = "".join(traceback.format_exception(raised.value))
    assert "sk-secret" not in shown + repr(LangChainBackend(Keyed(says=[])))


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
    await backend.prepare()
    assert (await backend.complete(asking())).text == "hello"
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
    with pytest.raises(Rejected, match=r"langchain:.*:model: its factory failed: KeyError: 'API_"):
        load_registry().backend(f"langchain:{name}:model")


@pytest.mark.parametrize("made", ["def model():\n    return ", "model = "])
def test_what_a_factory_gave_its_class_is_not_shown(
    module: Callable[[str], str], made: str
) -> None:
    """pydantic's errors show it, and a wrong key is still a key."""
    name = module(
        "from langchain_core.language_models import FakeListChatModel\n"
        "class Keyed(FakeListChatModel):\n    api_key: int\n"
        f"{made}Keyed(responses=[], api_key='sk-secret')\n"
    )
    with pytest.raises(Rejected, match=r"failed: api_key: Input should be a valid int") as raised:
        load_registry().backend(f"langchain:{name}:model")
    assert "secret" not in "".join(traceback.format_exception(raised.value))


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


def test_a_pack_is_a_list_of_tools() -> None:
    tools = {made.name: made for made in as_tools("math.*")}
    assert tools["add"].invoke({"a": 2, "b": 3}) == 5
    assert [made.name for made in as_tools("math.add", look_up)] == ["add", "look_up"]
    with pytest.raises(PluginError, match="there is no function 'ad' in math; did you mean add"):
        as_tools("math.ad")


# ---- an agent as a runnable ---------------------------------------------------------------------


def solver(**settings: Any) -> Any:
    return as_runnable(model="reference", task="wordproblems", **settings)


def some_problems(count: int) -> list[Problem]:
    return list(islice(load_registry().task("wordproblems").problems("test"), count))


def test_an_agent_takes_a_question_and_gives_the_chain() -> None:
    says = ["add(a=1, b=2)", "answer(value=3)"]
    for question in ["1 + 2?", {"question": "1 + 2?", "other": 1}, Problem("1 + 2?")]:
        model = FakeListChatModel(responses=says)
        chain = as_runnable(model=model, functions=[add]).invoke(question)  # type: ignore[arg-type]
        assert (chain.problem.text, chain.stop, chain.answer) == ("1 + 2?", "answer", 3)
        assert chain.setup.model == "langchain:FakeListChatModel"
    with_context = {"question": "How many?", "context": "There are 3 hens."}
    chain = as_runnable(model=FakeListChatModel(responses=says)).invoke(with_context)
    assert chain.problem == Problem("How many?", context="There are 3 hens.")
    with pytest.raises(DataError, match=r"an agent takes a question: .* not 5"):
        as_runnable(model=FakeListChatModel(responses=says)).invoke(5)  # type: ignore[arg-type]


async def test_an_agent_is_a_link_of_langchains_chains() -> None:
    problem = some_problems(1)[0]
    answer = RunnableLambda(lambda row: row["row"]) | solver() | (lambda chain: chain.answer)
    assert await answer.ainvoke({"row": problem}) == problem.gold
    assert answer.invoke({"row": problem}) == problem.gold
    assert [chain.answer async for chain in solver().astream(problem)] == [problem.gold]


async def test_many_questions_share_one_model_and_keep_to_a_concurrency() -> None:
    class Counting(ToolModel):
        under_way: list[int] = [0, 0]  # noqa: RUF012 - now, and at most

        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            self.under_way[0] += 1
            self.under_way[1] = max(self.under_way)
            await asyncio.sleep(0.01)
            self.under_way[0] -= 1
            return ChatResult(generations=[ChatGeneration(message=calling("answer", value=3))])

    questions = [f"{number} + 1?" for number in range(20)]
    for concurrency in (1, 5):
        model = Counting(says=[])
        agent = as_runnable(model=model)
        chains = await agent.abatch(questions, {"max_concurrency": concurrency})  # type: ignore[arg-type]
        assert [chain.problem.question for chain in chains] == questions
        assert model.under_way == [0, concurrency]
    assert [chain.answer for chain in solver().batch(some_problems(3))] == [
        problem.gold for problem in some_problems(3)
    ]
    assert await agent.abatch([]) == []


async def test_of_many_questions_one_that_fails_is_an_error_or_a_result() -> None:
    inputs: list[Any] = [some_problems(1)[0], 5]
    with pytest.raises(DataError, match="not 5"):
        await solver().abatch(inputs)
    chain, error = await solver().abatch(inputs, return_exceptions=True)
    assert chain.stop == "answer"
    assert isinstance(error, DataError)


async def test_what_looks_on_at_an_agent_sees_the_models_turns() -> None:
    class Watching(BaseCallbackHandler):
        def __init__(self) -> None:
            self.began: list[tuple[str, Any]] = []

        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            self.began.append((kwargs["name"], kwargs["parent_run_id"]))
            self.agent = kwargs["run_id"]

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            self.began.append(("turn", kwargs["parent_run_id"]))

    model = FakeListChatModel(responses=["add(a=1, b=2)", "answer(value=3)"])
    agent = as_runnable(model=model, functions=[add])
    for ask in (agent.ainvoke, partial(asyncio.to_thread, agent.invoke)):
        watching = Watching()
        await ask("1 + 2?", {"callbacks": [watching], "run_name": "adder"})
        turn = ("turn", watching.agent)
        assert watching.began == [("adder", None), turn, turn]


def test_an_agent_of_bad_settings_is_refused_when_it_is_made() -> None:
    with pytest.raises(DataError, match="steps must be at least 1"):
        as_runnable(model="reference", steps=0)
