"""Answers of all the shapes that Ollama gives them, as a test has the stand-in give them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ollama_shim import Shim

from callsmith.backends import Request
from callsmith.errors import ModelFault, Unavailable
from callsmith_ollama.backend import open_backend

ASKED = Request([{"role": "user", "content": "How many?"}])


def part(done: bool = False, **message: Any) -> dict[str, Any]:
    """A part of an answer as Ollama streams it."""
    counted = {"done_reason": "stop", "prompt_eval_count": 20, "eval_count": 5} if done else {}
    return {"model": "tiny", "message": {"role": "assistant", **message}, "done": done, **counted}


async def planned(shim: Shim, *parts: dict[str, Any], stream: bool, **options: Any) -> Any:
    shim.plan({"parts": parts})
    backend = open_backend(f"tiny-thinks@{shim.url}", **options)
    try:
        return await backend.complete(replace(ASKED, on_text=print if stream else None))
    finally:
        await backend.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_are_kept_apart(shim: Shim, stream: bool) -> None:
    thoughts = [part(content="", thinking="20% of "), part(content="", thinking="40 is 8.")]
    turn = await planned(
        shim, *thoughts, part(content="answer(value=32)"), part(True), stream=stream, think="low"
    )
    assert turn.reasoning == "20% of 40 is 8."
    assert turn.text == "answer(value=32)"
    assert shim.log()["chats"][-1]["think"] == "low"


async def test_thoughts_within_the_text_are_kept_apart_too(shim: Shim) -> None:
    said = part(content="<think>20% of 40 is 8.</think>\nanswer(value=32)")
    turn = await planned(shim, said, part(True), stream=False)
    assert (turn.reasoning, turn.text) == ("20% of 40 is 8.", "answer(value=32)")


@pytest.mark.parametrize("stream", [True, False])
async def test_calls_may_come_in_several_parts_and_without_ids(shim: Shim, stream: bool) -> None:
    calls = [{"function": {"name": "multiply", "arguments": {"a": a, "b": 2}}} for a in (1, 2, 3)]
    turn = await planned(
        shim,
        part(content="I multiply."),
        part(content="", tool_calls=calls[:1]),
        part(content="", tool_calls=calls[1:]),
        part(True, content=""),
        stream=stream,
    )
    assert turn.text == "I multiply."
    assert [call.arguments["a"] for call in turn.calls] == [1, 2, 3]
    assert {call.id for call in turn.calls} == {""}


async def test_an_empty_turn_is_the_models_mistake(shim: Shim) -> None:
    with pytest.raises(ModelFault, match="the turn is empty") as caught:
        await planned(shim, part(True, content=""), stream=False)
    assert caught.value.turn
    assert caught.value.turn.usage.completion == 5


async def test_a_turn_of_thoughts_alone_keeps_them(shim: Shim) -> None:
    turn = await planned(shim, part(True, content="", thinking="Hm."), stream=False)
    assert (turn.text, turn.reasoning, turn.usage.completion) == ("", "Hm.", 5)


async def test_a_model_that_was_only_loaded_is_asked_again(shim: Shim) -> None:
    with pytest.raises(Unavailable, match="did not let it write"):
        await planned(shim, part(True, content="") | {"done_reason": "load"}, stream=False)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_that_ollama_can_not_read_is_the_models_mistake(
    shim: Shim, stream: bool
) -> None:
    said = "error parsing tool call: raw='{\"a\": 48,', err=unexpected end of JSON input"
    with pytest.raises(ModelFault, match="unexpected end of JSON input") as caught:
        await planned(shim, part(content="I"), {"error": said}, stream=stream)
    assert caught.value.turn.text == '{"a": 48,'


@pytest.mark.parametrize("arguments", ["{'a': 1", 7, ["a"]])
async def test_arguments_that_are_no_object_are_the_models_mistake(
    shim: Shim, arguments: Any
) -> None:
    calls = [{"function": {"name": "multiply", "arguments": arguments}}]
    with pytest.raises(ModelFault, match="could not be read") as caught:
        await planned(
            shim,
            part(content="I multiply.", thinking="Hm.", tool_calls=calls),
            part(True, content=""),
            stream=True,
        )
    turn = caught.value.turn
    assert turn
    assert turn.text.startswith("I multiply.\n")
    assert "multiply" in turn.text
    assert (turn.reasoning, turn.usage.completion) == ("Hm.", 5), "it was paid for all the same"
