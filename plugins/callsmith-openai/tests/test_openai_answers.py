"""What is made of a server's answers, whole and in pieces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_stub import Stub, ask, said

from callsmith.backends import Completion
from callsmith.chain import Call, Usage
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    ModelFault,
    RateLimited,
    Rejected,
    Unavailable,
)
from callsmith_openai.answers import Events, Merged, read_answer
from callsmith_openai.backend import open_backend
from callsmith_openai.failures import Failures
from callsmith_openai.keys import Key

FAILURES = Failures("http://h/v1", Key(), None)


def read(**message: Any) -> Completion:
    return read_answer(said(**message), FAILURES)


def call(arguments: Any, name: str = "add", id: str = "call_1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def merge(*chunks: Any) -> Completion:
    merged = Merged(FAILURES)
    for chunk in chunks:
        merged.add(json.dumps(chunk))
    return merged.completion()


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


# ---- whole answers ------------------------------------------------------------------------------


def test_arguments_are_read_as_text_as_objects_and_where_there_are_none() -> None:
    written = ['{"a": 1}', {"a": 1}, "", None]
    calls = read(tool_calls=[call(arguments) for arguments in written]).calls
    assert [made.arguments for made in calls] == [{"a": 1}, {"a": 1}, {}, {}]


@pytest.mark.parametrize("arguments", ['{"a": 1,}', "[1]", '"a"', "{" * 100_000, [1]])
def test_arguments_that_are_no_object_are_the_models_fault_in_its_own_words(arguments: Any) -> None:
    with pytest.raises(ModelFault) as caught:
        read(content="Adding.", tool_calls=[call("{}"), call(arguments)])
    assert "the arguments of add are no JSON" in str(caught.value)
    words = arguments if isinstance(arguments, str) else json.dumps(arguments)
    assert caught.value.turn.text.startswith("Adding.\n" + '{"name": "add", "arguments": {}}\n')
    assert words in caught.value.turn.text
    assert caught.value.turn.usage.completion == 2, "it was paid for all the same"


def test_a_call_that_was_cut_off_is_text_and_ends_by_length() -> None:
    body = said("", tool_calls=[call('{"a": 1, "b')])
    body["choices"][0]["finish_reason"] = "length"
    completion = read_answer(body, FAILURES)
    assert (completion.text, completion.calls) == ('{"name": "add", "arguments": {"a": 1, "b', ())
    assert (completion.finish, completion.usage) == ("length", Usage(5, 2))


def test_reasoning_is_found_wherever_a_server_puts_it() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "7"},
    ]
    for message in (
        {"content": "7", "reasoning_content": "hm"},
        {"content": "7", "reasoning": "hm"},
        {"content": "<think>hm</think>7"},
        {"content": parts},
    ):
        message = {"text": "", **message}
        completion = read(**message)
        assert (completion.text, completion.reasoning) == ("7", "hm"), message


def test_a_refusal_is_text() -> None:
    assert read(content=None, refusal="I won't.").text == "I won't."


def test_cached_and_reasoning_tokens_are_counted() -> None:
    body = said()
    body["usage"] |= {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert read_answer(body, FAILURES).usage == Usage(5, 2, cached=3, reasoning=1)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
WORDS = """choices message delta content tool_calls function arguments name id index error code
usage prompt_tokens finish_reason reasoning thinking"""
NAMES = st.sampled_from(WORDS.split())
BODIES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


@given(BODIES)
def test_an_answer_of_any_shape_is_a_completion_or_a_backend_error(body: Any) -> None:
    for answer in (body, {"choices": [body]}, {"choices": [{"message": body}]}, {"error": body}):
        with suppress(BackendError):
            assert isinstance(read_answer(answer, FAILURES), Completion)


@given(st.lists(BODIES, max_size=4))
def test_a_stream_of_any_shape_is_a_completion_or_a_backend_error(bodies: list[Any]) -> None:
    calls = [piece(tool_calls=[body]) for body in bodies]
    for chunks in (bodies, [{"choices": [body]} for body in bodies], [*calls, piece("stop")]):
        with suppress(BackendError):
            assert isinstance(merge(*chunks), Completion)


# ---- streams ------------------------------------------------------------------------------------


@given(st.text(), st.lists(st.integers(1, 9), min_size=1), st.sampled_from(["\n\n", "\r\n\r\n"]))
def test_a_stream_gives_the_same_events_however_it_is_cut(
    text: str, cuts: list[int], end: str
) -> None:
    sent = f"data: {json.dumps(text, ensure_ascii=False)}{end}: ping{end}data:[DONE]{end}"
    # A text may hold a half of a character, which no stream can carry.
    raw = sent.encode(errors="replace")
    events, found, at = Events(), [], 0
    for cut in cuts:
        found += events.feed(raw[at : at + cut])
        at += cut
    found += events.feed(raw[at:])
    assert found == Events().feed(raw)
    assert found[-1] == "[DONE]"


def test_calls_are_merged_by_their_index() -> None:
    completion = merge(
        piece(tool_calls=[{"index": 0, **call("", id="a")}]),
        piece(tool_calls=[{"index": 1, **call("{", "answer", id="b")}]),
        piece(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}]),
        piece(tool_calls=[{"index": 0, "id": "", "function": {"arguments": ": 1}"}}]),
        piece(tool_calls=[{"index": 1, "function": {"name": None, "arguments": "}"}}]),
        piece("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model": "m"},
    )
    assert completion.calls == (Call("add", {"x": 1}, "a"), Call("answer", {}, "b"))
    assert (completion.finish, completion.usage) == ("tool_calls", Usage(5, 2))


def test_calls_that_all_have_the_same_index_are_told_apart_by_their_ids() -> None:
    completion = merge(
        piece(tool_calls=[{"index": 0, **call('{"x": 1}', id="a")}]),
        piece("stop", tool_calls=[{"index": 0, **call({"x": 2}, id="b")}]),
    )
    assert [made.arguments for made in completion.calls] == [{"x": 1}, {"x": 2}]


def test_a_stream_without_its_end_is_no_answer() -> None:
    with pytest.raises(Unavailable, match="broke off in the middle"):
        merge(piece(content="half"))


async def test_a_server_that_does_not_stream_is_read_all_the_same(stub: Stub) -> None:
    stub.answers["/v1/chat/completions"] = (200, said())
    backend, pieces = open_backend(f"m@{stub.url}/v1"), []
    completion = await backend.complete(ask(on_text=pieces.append))
    await backend.close()
    assert (completion.text, pieces) == ("hello", ["hello"])


# ---- refusals -----------------------------------------------------------------------------------


def error(message: str, code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            429,
            error("You exceeded your quota.", "insufficient_quota"),
            Rejected,
            "no waiting mends",
        ),
        (429, error("Slow down."), RateLimited, "Slow down"),
        (402, error("Insufficient Balance"), Rejected, "Insufficient Balance"),
        (400, error("Too long.", "context_length_exceeded"), ContextOverflow, "Too long"),
        (400, error("Filtered.", "content_filter"), ModelFault, "Filtered"),
        (500, error("Failed to parse input at pos 3"), ModelFault, "Failed to parse"),
        (400, error("Unknown field: seed"), Rejected, "-o seed=false sends none"),
        (422, {"detail": [{"loc": ["body"], "msg": "no such field"}]}, Rejected, "no such field"),
        (
            400,
            {"object": "error", "message": "vLLM says no", "code": 400},
            Rejected,
            "vLLM says no",
        ),
        (503, {"error": "loading"}, RateLimited, "says: loading"),
        (502, b"<html>Bad Gateway</html>", Unavailable, "answers 502 Bad Gateway"),
        (200, {"error": {"message": "upstream", "code": 429}}, RateLimited, "upstream"),
        (200, {"error": "the runner stopped"}, Unavailable, "the runner stopped"),
        (200, {"choices": [{"error": {"code": 400, "message": "no"}}]}, Rejected, "says: no"),
    ],
)
async def test_a_refusal_is_typed_by_who_must_act_in_the_servers_words(
    status: int, body: Any, kind: type[BackendError], words: str, stub: Stub
) -> None:
    stub.answers["/v1/chat/completions"] = (status, body)
    backend = open_backend(f"m@{stub.url}/v1")
    with pytest.raises(BackendError) as caught:
        await backend.complete(ask())
    await backend.close()
    assert type(caught.value) is kind
    assert words in str(caught.value)


async def test_what_a_model_failed_to_write_is_kept(stub: Stub) -> None:
    failed = {"code": "tool_use_failed", "message": "Failed", "failed_generation": "<function=add"}
    stub.answers["/v1/chat/completions"] = (400, {"error": failed})
    backend = open_backend(f"m@{stub.url}/v1")
    with pytest.raises(ModelFault) as caught:
        await backend.complete(ask())
    await backend.close()
    assert caught.value.turn.text == "<function=add"


# ---- connections --------------------------------------------------------------------------------


async def test_a_connection_closed_while_it_lay_idle_costs_no_request(
    listen: Callable[..., Any],
) -> None:
    """The server reads the second request on it, but has closed it already, as under a race."""
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        here = len(connections) - 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            connections[here] += 1
            if here == 0 and connections[0] == 2:
                break
            body = json.dumps(said()).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    backend = open_backend(f"m@http://127.0.0.1:{await listen(serve)}/v1")
    assert [(await backend.complete(ask())).text for _ in range(2)] == ["hello", "hello"]
    await backend.close()
    assert connections == [2, 1]


async def test_a_new_connection_that_is_closed_is_not_tried_again(
    listen: Callable[..., Any],
) -> None:
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    backend = open_backend(f"m@http://127.0.0.1:{await listen(serve)}/v1")
    with pytest.raises(Unavailable, match="closed the connection without an answer"):
        await backend.complete(ask())
    await backend.close()
    assert len(connections) == 1
