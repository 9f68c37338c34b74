"""A real llama.cpp server: sampling, tool calls, schemas, grammars, streams, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from llama_server import Server
from openai_stub import ask
from tool_model import calling, write_tool_gguf

from callsmith.backends import Constraint
from callsmith.errors import ContextOverflow, Rejected
from callsmith.testing import OpenAIWire, check_backend
from callsmith_openai.backend import OpenAIBackend, open_backend

KEY = "sk-very-secret-1234567"

PICK = {
    "type": "function",
    "function": {
        "name": "pick",
        "description": "Pick a number.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer", "enum": [3, 5, 8]}},
            "required": ["number"],
        },
    },
}


@pytest.fixture(scope="session")
def tool_server(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose model is shown tools and can call them, and that wants a key."""
    path = tmp_path_factory.mktemp("tools") / "tools.gguf"
    write_tool_gguf(tiny_gguf, path)
    with Server(path, parallel=4, api_key=KEY) as server:
        yield server


async def opened(url: str, name: str = "tiny", **options: str) -> OpenAIBackend:
    backend = open_backend(f"{name}@{url}", **options)
    await backend.prepare()
    return backend


async def test_it_is_a_good_backend(llama_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)

    def open_it(name: str) -> OpenAIBackend:
        return open_backend(name, key_env="MY_KEY")

    report = await check_backend(open_it, f"tiny@{llama_server}", wire=OpenAIWire(), secret=KEY)
    report.raise_if_failed()


async def test_it_says_what_its_model_can_do(llama_server: str) -> None:
    backend = await opened(llama_server, name="")
    able = backend.capabilities
    assert backend.name == "openai:tiny"
    assert (able.dialects, able.tool_role) == (("text", "json"), True)
    assert (able.context, able.concurrency, able.constrains) == (2048, 10, ("json", "text"))
    assert able.reason == "the model's chat template takes no tools"
    (model,) = await backend.models()
    assert (model.name, model.context, model.tools) == ("tiny", 2048, False)
    assert model.size > 1_000_000
    await backend.close()


async def test_a_key_is_wanted_before_the_first_turn(
    tool_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Rejected, match="wants a key: put it into a variable"):
        await opened(tool_server.url)
    monkeypatch.setenv("MY_KEY", "sk-a-wrong-one")
    with pytest.raises(Rejected, match="does not take the key in the variable MY_KEY"):
        await opened(tool_server.url, key_env="MY_KEY")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_called_with_arguments_of_its_schema(
    streamed: bool, tool_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    backend = await opened(tool_server.url, key_env="MY_KEY")
    assert backend.capabilities.dialects[0] == "native"
    request = ask(tools=(PICK,), temperature=1.0, extra=calling(), max_tokens=96)
    if streamed:
        request = replace(request, on_text=lambda piece: None)
    completion = await backend.complete(request)
    (call,) = completion.calls
    assert (call.name, completion.finish) == ("pick", "tool_calls")
    assert call.arguments["number"] in (3, 5, 8)
    # The call and its result go back as the server expects them.
    function = {"name": "pick", "arguments": dict(call.arguments)}
    conversation = [
        *request.messages,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call.id, "name": "pick", "content": "8"},
    ]
    again = await backend.complete(replace(request, messages=conversation))
    assert again.usage.prompt > completion.usage.prompt
    assert again.usage.cached > 0
    await backend.close()


async def test_text_is_held_to_a_schema_and_to_a_grammar(llama_server: str) -> None:
    backend = await opened(llama_server)
    schema = {"type": "object", "properties": {"x": {"enum": [3, 5]}}, "required": ["x"]}
    held = await backend.complete(ask(constraint=Constraint(schema), max_tokens=64))
    assert "".join(held.text.split()) in ('{"x":3}', '{"x":5}')
    grammar = Constraint(grammar='root ::= "add(a=" [35] ")"')
    held = await backend.complete(ask(constraint=grammar, max_tokens=64))
    assert held.text in ("add(a=3)", "add(a=5)")
    await backend.close()


async def test_a_stream_is_the_same_turn_in_pieces(llama_server: str) -> None:
    backend, pieces = await opened(llama_server), []
    request = ask("A box holds 6 eggs. How many are in 4?", temperature=1.0, seed=3)
    whole = await backend.complete(request)
    streamed = await backend.complete(replace(request, on_text=pieces.append))
    await backend.close()
    assert "".join(pieces) == streamed.text == whole.text
    assert len(pieces) > 1
    assert streamed.usage.completion == whole.usage.completion > 0


async def test_many_at_once_each_get_their_own_seeds_turn(llama_server: str) -> None:
    backend = await opened(llama_server)
    requests = [ask(f"How much is {n} + {n}?", temperature=0.0, seed=n) for n in range(64)]
    at_once = await asyncio.gather(*map(backend.complete, requests))
    one_by_one = [await backend.complete(request) for request in requests[:8]]
    await backend.close()
    assert [made.text for made in at_once[:8]] == [made.text for made in one_by_one]
    assert all(made.usage.completion for made in at_once)


async def test_a_conversation_that_is_too_long_says_so(llama_server: str) -> None:
    backend = await opened(llama_server)
    with pytest.raises(ContextOverflow, match="exceeds the available context size"):
        await backend.complete(ask("7 + " * 3000))
    await backend.close()
