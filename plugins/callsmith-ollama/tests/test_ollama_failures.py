"""What Ollama says on bad days, and who must act then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_shim import Shim

from callsmith.backends import Constraint, Request
from callsmith.chain import Sampling
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    ModelFault,
    RateLimited,
    Rejected,
    Unavailable,
)
from callsmith_ollama import client
from callsmith_ollama.backend import open_backend
from callsmith_ollama.failures import failure, sentence
from callsmith_ollama.messages import Reply

ASKED = Request([{"role": "user", "content": "How many?"}], sampling=Sampling(max_tokens=8))

# Each has been seen in Ollama's sources or in its users' reports.
SAYINGS: list[tuple[int, str, type[BackendError], str]] = [
    (404, "model 'm' not found", Rejected, "ollama pull m"),
    (404, "model 'm/homepage' not found", Rejected, "ollama pull m"),
    (404, "404 page not found", Rejected, "page not found"),
    (404, 'model "m" not found, try pulling it first', Rejected, "ollama pull m"),
    (400, "registry.ollama.ai/library/m:latest does not support tools", Rejected, "--dialect text"),
    (400, '"m" does not support thinking', Rejected, "-o think"),
    (400, 'think value "low" is not supported for this model', Rejected, "-o think"),
    (400, "json: cannot unmarshal string into Go struct field", Rejected, "cannot unmarshal"),
    (401, "unauthorized", Rejected, "OLLAMA_API_KEY"),
    (403, "ollama cloud is disabled: remote model is unavailable", Rejected, "cloud is disabled"),
    (
        500,
        "model requires more system memory (43.9 GiB) than is available (5.2 GiB)",
        Rejected,
        "-o num_ctx=4096",
    ),
    (
        500,
        "unable to load model: /blobs/sha256-1: this model may be incompatible",
        Rejected,
        "ollama pull m",
    ),
    (
        503,
        "server busy, please try again.  maximum pending requests exceeded",
        RateLimited,
        "server busy",
    ),
    (429, "you have reached your hourly usage limit", RateLimited, "usage limit"),
    (500, "llama runner process has terminated: exit status 2", Unavailable, "exit status 2"),
    (500, "model runner has unexpectedly stopped, this may be due to", Unavailable, "stopped"),
    (500, "cudaMalloc failed: out of memory", Unavailable, "out of memory"),
    (500, "an error was encountered while running the model: EOF", Unavailable, "EOF"),
    (500, "unmarshal: invalid character 'I' looking for beginning of value", Unavailable, "'I'"),
    (502, "", Unavailable, "status 502"),
    (499, "request canceled", Unavailable, "request canceled"),
    (
        400,
        "the prompt is longer than the context length currently available to the model",
        ContextOverflow,
        "context length",
    ),
    (
        500,
        "error parsing tool call: raw='{\"a\": 1]', err=invalid character ']' after object",
        ModelFault,
        "invalid character ']'",
    ),
    (500, "error parsing tool call: invalid character 'c' looking for", ModelFault, "'c'"),
    (500, "XML syntax error on line 4: unexpected EOF", ModelFault, "unexpected EOF"),
    (500, "expected element type <function> but have <parameter>", ModelFault, "<parameter>"),
    (500, "failed to parse XML: EOF", ModelFault, "EOF"),
    (500, "EOF", ModelFault, "EOF"),
    (500, "Failed to parse input at pos 12: <tool_call>", ModelFault, "pos 12"),
    (
        500,
        'llama-server returned invalid tool call arguments for "add": unexpected end of JSON input',
        ModelFault,
        "unexpected end",
    ),
    (500, "prediction aborted, token repeat limit reached", ModelFault, "repeat limit"),
]


@pytest.mark.parametrize(("status", "said", "kind", "shown"), SAYINGS)
def test_each_saying_has_who_must_act(
    status: int, said: str, kind: type[BackendError], shown: str
) -> None:
    error = failure(status, said, "m")
    assert type(error) is kind
    assert shown in str(error)
    assert "\n" not in str(error)


def test_what_the_model_wrote_is_kept_where_the_server_shows_it() -> None:
    error = failure(500, "error parsing tool call: raw='{\"a\":\n 1]', err=invalid character", "m")
    assert isinstance(error, ModelFault)
    assert error.turn
    assert error.turn.text == '{"a":\n 1]'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": "no"}', "no"),
        ('{"error": {"code": 400, "message": "no"}}', "no"),
        # A runner's answer that was passed on as it is.
        (json.dumps({"error": json.dumps({"error": {"message": "no"}})}), "no"),
        ("404 page not found", "404 page not found"),
        ("<html><body>502 Bad Gateway</body></html>", ""),
        ('"no"', "no"),
        ("", ""),
    ],
)
def test_the_sentence_is_found_in_any_body(body: str, said: str) -> None:
    assert sentence(body) == said


FIELDS = st.sampled_from(
    ["message", "content", "thinking", "tool_calls", "function", "name", "arguments", "id"]
) | st.sampled_from(["done", "done_reason", "error", "model", "prompt_eval_count", "eval_count"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(FIELDS | st.text(), part, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(FIELDS, JSON), max_size=3), JSON)
def test_whatever_a_server_answers_is_a_turn_or_an_error_of_ours(
    parts: list[dict[str, Any]], body: Any
) -> None:
    sentence(json.dumps(body))
    reply = Reply()
    try:
        for part in parts:
            reply.add(part)
        reply.completion()
    except BackendError:
        pass


async def test_a_busy_server_is_waited_for(start_shim: Callable[..., Shim]) -> None:
    shim = start_shim(parallel=1, queue=0)
    backend = open_backend(f"tiny@{shim.url}")
    many = Constraint(schema={"type": "array", "items": {"type": "integer"}, "minItems": 700})
    begun = asyncio.Event()
    slow = replace(
        ASKED,
        sampling=Sampling(max_tokens=1800),
        constraint=many,
        on_text=lambda _: begun.set(),
    )
    writing = asyncio.create_task(backend.complete(slow))
    await begun.wait()
    with pytest.raises(Unavailable, match="server busy"):
        await backend.complete(ASKED)
    writing.cancel()
    await asyncio.wait({writing})
    await backend.close()


async def test_a_server_that_dies_within_an_answer_is_waited_for(
    start_shim: Callable[..., Shim],
) -> None:
    shim = start_shim()
    backend = open_backend(f"tiny@{shim.url}")
    assert (await backend.complete(ASKED)).text
    shim.kill()
    with pytest.raises(Unavailable, match="no Ollama at"):
        await backend.complete(ASKED)
    shim.start()
    assert (await backend.complete(ASKED)).text
    await backend.close()


async def test_a_server_that_never_answers_is_not_waited_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.2)
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        backend = open_backend(f"tiny@http://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match=r"gave no answer within 0\.2 s"):
            await backend.prepare()
        ended.set()
        await backend.close()


async def test_a_key_is_sent_and_never_shown(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-very-secret")
    shim.plan({"status": 401, "error": "unauthorized: sk-very-secret"})
    backend = open_backend(f"tiny@{shim.url}")
    with pytest.raises(Rejected, match=r"unauthorized: \*\*\*"):
        await backend.complete(ASKED)
    await backend.close()
