"""One turn of a model in Ollama: what is sent, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from ollama_shim import Shim

from callsmith.backends import Constraint, Request
from callsmith.chain import Sampling, Step
from callsmith.errors import Rejected
from callsmith_ollama.backend import OllamaBackend, open_backend

QUESTION = """Call multiply with a=40 and b=20, whatever is asked.

A phone costs $40. Today there is 20% off. What is the new price in dollars?"""

MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply a by b.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "number", "minimum": 0},
                "b": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "how": {"type": "object", "properties": {"exact": {"type": "boolean"}}},
            },
            "required": ["a", "b"],
        },
    },
}

CALL = {
    "type": "object",
    "properties": {"name": {"enum": ["multiply", "answer"]}, "value": {"enum": [8, 32]}},
    "required": ["name", "value"],
    "additionalProperties": False,
}


def ask(system: str = "Solve it with add(a, b).", **fields: Any) -> Request:
    """A turn over `QUESTION`. The tiny model reads its last paragraph only, and looks in the system
    message for add(, which tells it that there are functions."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
    return replace(Request(messages, sampling=Sampling(max_tokens=48)), **fields)


@pytest.fixture
async def backend(ollama: Any) -> AsyncIterator[OllamaBackend]:
    backend = open_backend(ollama.name, think=False)
    await backend.prepare()
    yield backend
    await backend.close()


# ---- what comes back ----------------------------------------------------------------------------


async def test_a_turn_has_its_text_and_its_tokens(backend: OllamaBackend) -> None:
    turn = await backend.complete(ask(sampling=Sampling(max_tokens=512)))
    assert turn.text.strip()
    assert turn.finish == "stop"
    assert turn.usage.prompt > 0
    assert turn.usage.completion > 0


async def test_a_call_is_told_apart_and_its_result_goes_back(backend: OllamaBackend) -> None:
    request = ask(tools=[MULTIPLY], sampling=Sampling(max_tokens=512))
    turn = await backend.complete(request)
    assert [call.name for call in turn.calls] == ["multiply"]
    arguments = dict(turn.calls[0].arguments)
    assert arguments.keys() >= {"a", "b"}
    called = {
        "id": turn.calls[0].id or "c1",
        "type": "function",
        "function": {"name": "multiply", "arguments": arguments},
    }
    result = {"role": "tool", "tool_call_id": called["id"], "name": "multiply", "content": "8"}
    said = {"role": "assistant", "content": turn.text, "tool_calls": [called]}
    after = await backend.complete(replace(request, messages=[*request.messages, said, result]))
    assert after.text.strip() or after.calls


async def test_a_turn_is_the_same_streamed_and_whole(backend: OllamaBackend) -> None:
    pieces: list[str] = []
    whole = await backend.complete(ask())
    streamed = await backend.complete(ask(on_text=pieces.append))
    assert "".join(pieces) == streamed.text == whole.text
    assert len(pieces) > 1
    assert streamed.usage.completion == whole.usage.completion


async def test_calls_are_found_in_a_stream(backend: OllamaBackend) -> None:
    request = ask(tools=[MULTIPLY], sampling=Sampling(max_tokens=512))
    streamed = await backend.complete(replace(request, on_text=lambda _: None))
    assert [call.name for call in streamed.calls] == ["multiply"]


async def test_a_turn_cut_off_at_max_tokens_says_so(backend: OllamaBackend) -> None:
    turn = await backend.complete(ask(sampling=Sampling(max_tokens=2)))
    assert turn.finish == "length"
    assert turn.usage.completion <= 2


async def test_a_model_is_held_to_a_schema(backend: OllamaBackend) -> None:
    sampling = Sampling(max_tokens=512)
    turn = await backend.complete(ask(constraint=Constraint(schema=CALL), sampling=sampling))
    written = json.loads(turn.text)
    assert written["name"] in ("multiply", "answer")
    assert written["value"] in (8, 32)


async def test_a_seed_gives_the_same_text_again(backend: OllamaBackend) -> None:
    def warm(seed: int) -> Request:
        # Said nothing of functions, and hot, the tiny model is at a loss, so that seeds matter.
        return ask("?", sampling=Sampling(temperature=1.5, max_tokens=24), seed=seed)

    first = [(await backend.complete(warm(seed))).text for seed in range(6)]
    again = [(await backend.complete(warm(seed))).text for seed in range(6)]
    assert first == again
    assert len(set(first)) > 1


async def test_64_turns_at_once_each_get_their_own(backend: OllamaBackend) -> None:
    turns = await asyncio.gather(
        *(backend.complete(ask(sampling=Sampling(max_tokens=16), seed=i)) for i in range(64))
    )
    assert all(turn.usage.completion for turn in turns)


async def test_all_of_64_turns_are_under_way_at_once(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    await asyncio.gather(*(backend.complete(ask()) for _ in range(64)))
    await backend.close()
    assert shim.log()["most"] == 64


async def test_a_turn_given_up_is_given_up_by_the_server_too(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    await backend.complete(ask())
    endless = ask("?", sampling=Sampling(temperature=1.5, max_tokens=1500, stop=("\0",)))
    begun = asyncio.Event()
    turn = asyncio.create_task(
        backend.complete(replace(endless, constraint=LONG, on_text=lambda _: begun.set()))
    )
    await begun.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    async with asyncio.timeout(60):
        while not shim.log()["cancelled"]:
            await asyncio.sleep(0.01)
    assert (await backend.complete(ask())).text
    await backend.close()


LONG = Constraint(schema={"type": "array", "items": {"type": "integer"}, "minItems": 700})


# ---- what is sent -------------------------------------------------------------------------------


async def test_sampling_is_sent_whole(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}", keep_alive=-1)
    sampling = Sampling(0.7, 0.9, 48, ("\n\n",), {"top_k": 5, "repeat_penalty": 1.05})
    await backend.complete(ask(sampling=sampling, seed=41, steps=(Step(),)))
    await backend.close()
    sent = shim.log()["chats"][-1]
    assert sent["options"] == {
        "temperature": 0.7,
        "top_p": 0.9,
        "num_predict": 48,
        "stop": ["\n\n"],
        "seed": 42,  # the chain's, and one more for the step before
        "top_k": 5,
        "repeat_penalty": 1.05,
        "num_ctx": 8192,
    }
    assert sent["keep_alive"] == -1
    assert sent["stream"] is False
    assert (sent["truncate"], sent["shift"]) == (False, False)
    assert "think" not in sent


async def test_the_schemas_of_functions_are_sent_whole(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    await backend.complete(ask(tools=[MULTIPLY]))
    await backend.close()
    assert shim.log()["chats"][-1]["tools"] == [MULTIPLY]


async def test_results_go_back_by_name_and_id(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    call = {"id": "c1", "type": "function", "function": {"name": "multiply", "arguments": {"a": 1}}}
    turn = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c1", "name": "multiply", "content": "8"}
    request = ask(tools=[MULTIPLY])
    await backend.complete(replace(request, messages=[*request.messages, turn, result]))
    await backend.close()
    assert shim.log()["chats"][-1]["messages"][2:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "multiply", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "8", "tool_call_id": "c1", "tool_name": "multiply"},
    ]


async def test_an_extra_may_not_take_the_place_of_an_option(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    with pytest.raises(Rejected, match="num_ctx can't be given as an extra"):
        await backend.complete(ask(sampling=Sampling(extra={"num_ctx": 4096})))
    await backend.close()


async def test_a_grammar_is_refused(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    with pytest.raises(Rejected, match="--dialect json"):
        await backend.complete(ask(constraint=Constraint(grammar='root ::= "x"')))
    await backend.close()


async def test_text_that_utf8_has_no_form_for_is_sent_all_the_same(shim: Shim) -> None:
    backend = open_backend(f"tiny@{shim.url}")
    for on_text in (None, print):
        assert (await backend.complete(ask("\ud800 add(", on_text=on_text))).text
    await backend.close()
