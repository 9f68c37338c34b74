"""What is found out about a server's models before the first turn."""

from __future__ import annotations

from typing import Any

import pytest
from openai_stub import Stub, said

from callsmith.backends import Capabilities, ModelInfo
from callsmith.errors import Rejected, Unavailable
from callsmith_openai.backend import open_backend

NATIVE = ("native", "text", "json")
TEXT = ("text", "json")


def listed(*entries: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"object": "list", "data": list(entries)}


def counting(body: Any) -> tuple[int, Any]:
    """A server that shows tools to its models."""
    answer = said()
    answer["usage"]["prompt_tokens"] = len(str(body))
    return 200, answer


async def prepared(stub: Stub, name: str = "m", **options: Any) -> tuple[str, Capabilities]:
    backend = open_backend(f"{name}@{stub.url}/v1", **options)
    try:
        await backend.prepare()
    finally:
        await backend.close()
    return backend.name, backend.capabilities


def turns(stub: Stub) -> list[Any]:
    return [body for _, path, _, body in stub.asked if path == "/v1/chat/completions"]


# ---- which model --------------------------------------------------------------------------------


async def test_a_model_that_the_server_lacks_is_refused_with_near_ones(stub: Stub) -> None:
    stub.answers["/v1/models"] = listed({"id": "qwen3-8b"}, {"id": "llama-3.1-8b"})
    stub.answers["/v1/chat/completions"] = (404, {"error": {"message": "No such model."}})
    with pytest.raises(Rejected) as caught:
        await prepared(stub, "qwen3")
    assert str(caught.value) == (
        f"there is no model 'qwen3': {stub.url}/v1 says: No such model; did you mean qwen3-8b?"
    )


async def test_a_model_that_is_not_listed_but_answers_is_taken(stub: Stub) -> None:
    stub.answers["/v1/models"] = listed({"id": "other"})
    stub.answers["/v1/chat/completions"] = counting
    assert (await prepared(stub, "m:fast"))[0] == "openai:m:fast"


async def test_no_name_takes_the_only_model_there_is(stub: Stub) -> None:
    stub.answers["/v1/chat/completions"] = counting
    stub.answers["/v1/models"] = listed({"id": "m"})
    assert (await prepared(stub, ""))[0] == "openai:m"
    stub.answers["/v1/models"] = listed({"id": "a"}, {"id": "b"})
    with pytest.raises(Rejected, match=r"say which model of .*; it lists a, b"):
        await prepared(stub, "")


async def test_a_server_without_a_list_of_models_is_used_all_the_same(stub: Stub) -> None:
    stub.answers["/v1/chat/completions"] = counting
    for status in (403, 404, 500):
        stub.answers["/v1/models"] = (status, {"detail": "no"})
        assert (await prepared(stub))[1].dialects == NATIVE


async def test_a_server_that_still_loads_its_model_is_unavailable(stub: Stub) -> None:
    stub.answers["/v1/models"] = (503, {"error": {"message": "Loading model", "code": 503}})
    with pytest.raises(Unavailable, match="says: Loading model"):
        await prepared(stub)


# ---- what it can do -----------------------------------------------------------------------------


async def test_vllm_without_its_flags_for_tools_gets_text(stub: Stub) -> None:
    """As vLLM 0.11 answers without --enable-auto-tool-choice."""
    words = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'

    def chat(body: Any) -> tuple[int, Any]:
        if "tools" in body:
            return 400, {"error": {"message": words, "type": "BadRequestError", "code": 400}}
        return 200, said()

    stub.answers["/v1/models"] = listed({"id": "m", "owned_by": "vllm", "max_model_len": 4096})
    stub.answers["/v1/chat/completions"] = chat
    able = (await prepared(stub))[1]
    assert (able.dialects, able.context) == (TEXT, 4096)
    assert able.reason == f"{stub.url}/v1 says: {words}"
    assert all(body["max_tokens"] == 1 for body in turns(stub))


async def test_a_server_that_takes_tools_gets_native_and_one_that_drops_them_text(
    stub: Stub,
) -> None:
    stub.answers["/v1/models"] = listed({"id": "m"})
    stub.answers["/v1/chat/completions"] = counting
    able = (await prepared(stub))[1]
    assert (able.dialects, able.reason) == (NATIVE, "the server takes tools")
    stub.answers["/v1/chat/completions"] = (200, said())
    able = (await prepared(stub))[1]
    assert able.dialects[0] == "text"
    assert able.reason == "the server shows the model no tools"


@pytest.mark.parametrize(
    ("entry", "dialects"),
    [
        ({"supported_parameters": ["tools", "seed"]}, NATIVE),  # OpenRouter
        ({"supported_parameters": ["seed"]}, TEXT),
        ({"capabilities": {"function_calling": True}}, NATIVE),  # Mistral
        ({"capabilities": {"function_calling": False}}, TEXT),
    ],
)
async def test_a_list_that_tells_of_tools_is_believed(
    entry: dict[str, Any], dialects: tuple[str, ...], stub: Stub
) -> None:
    stub.answers["/v1/models"] = listed({"id": "m", "context_length": 8192, **entry})
    able = (await prepared(stub))[1]
    assert (able.dialects, able.context) == (dialects, 8192)
    assert not turns(stub)


async def test_lm_studios_own_list_tells_of_tools_and_context(stub: Stub) -> None:
    """As its REST API documents it."""
    stub.answers["/v1/models"] = listed({"id": "m", "object": "model", "owned_by": "x"})
    entry = {"id": "m", "quantization": "4bit", "state": "loaded", "max_context_length": 32768}
    entry |= {"loaded_context_length": 4096, "capabilities": ["tool_use"]}
    stub.answers["/api/v0/models"] = listed(entry, {"id": "not-in-the-other-list"})
    able = (await prepared(stub))[1]
    assert (able.dialects, able.context) == (NATIVE, 4096)
    backend = open_backend(f"@{stub.url}/v1")
    found = await backend.models()
    await backend.close()
    assert found == [ModelInfo("m", context=4096, tools=True, detail="4bit, loaded")]


async def test_a_gateway_that_wants_max_completion_tokens_is_sent_them(stub: Stub) -> None:
    """As OpenAI words it for its newest models."""
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."

    def chat(body: Any) -> tuple[int, Any]:
        if "max_tokens" in body:
            return 400, {"error": {"message": words, "param": "max_tokens"}}
        return counting(body)

    stub.answers["/v1/models"] = listed({"id": "m"})
    stub.answers["/v1/chat/completions"] = chat
    assert (await prepared(stub))[1].dialects == NATIVE
    assert ["max_tokens" in body for body in turns(stub)] == [True, False, False]


@pytest.mark.parametrize(
    ("said", "dialects", "tool_role", "concurrency"),
    [
        # As llama.cpp says it today, and as it did before it knew what a template can.
        ({"chat_template_caps": {"supports_tools": True}, "total_slots": 4}, NATIVE, False, 5),
        ({"chat_template_caps": {"supports_tools": False}, "total_slots": 1}, TEXT, False, 2),
        ({"chat_template": "{% if tools %}", "total_slots": 16}, NATIVE, False, 20),
        ({"chat_template": "{{ m.role }}: {{ m.content }}"}, TEXT, False, 32),
        ({"chat_template": "{% if m.role == 'tool' %}"}, TEXT, True, 32),
        ({}, TEXT, False, 32),
    ],
)
async def test_llama_cpp_says_at_props_what_its_template_and_slots_are(
    said: dict[str, Any],
    dialects: tuple[str, ...],
    tool_role: bool,
    concurrency: int,
    stub: Stub,
) -> None:
    stub.answers["/v1/models"] = listed(
        {"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768}}
    )
    stub.answers["/props"] = (200, {"default_generation_settings": {"n_ctx": 2048}, **said})
    # A template is asked to write a result.
    stub.answers["/apply-template"] = lambda body: (200, {"prompt": body["messages"][-1]})
    able = (await prepared(stub, "m.gguf"))[1]
    assert (able.dialects, able.tool_role, able.concurrency) == (dialects, tool_role, concurrency)
    assert (able.context, able.constrains) == (2048, ("json", "text"))
    other = await prepared(stub, "m.gguf", tool_role=not tool_role)
    assert other[1].tool_role is not tool_role


async def test_a_template_that_refuses_results_of_calls_in_text_has_no_role_for_them(
    stub: Stub,
) -> None:
    stub.answers["/v1/models"] = listed({"id": "m.gguf", "owned_by": "llamacpp"})
    stub.answers["/props"] = (200, {"chat_template": "{% if m.role == 'tool' %}"})
    stub.answers["/apply-template"] = (400, {"error": {"message": "ids must have 9 letters"}})
    assert not (await prepared(stub, "m.gguf"))[1].tool_role


async def test_llama_cpp_answers_to_any_name_and_is_asked_by_its_own(stub: Stub) -> None:
    stub.answers["/v1/models"] = listed({"id": "m.gguf", "owned_by": "llamacpp"})
    with pytest.raises(Rejected, match=r"has no model 'other'; it lists m\.gguf"):
        await prepared(stub, "other")
    assert (await prepared(stub, ""))[0] == "openai:m.gguf"
