"""A message of LangChain's as a turn: its words, thoughts, calls and tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from callsmith.backends import Completion
from callsmith.chain import Call, Usage
from callsmith.errors import ModelFault, Rejected, Unavailable
from callsmith.serving import split_reasoning

_REASONS = ("finish_reason", "stop_reason", "done_reason", "stopReason", "status")
"""Where providers say why a turn ended."""


def read_turn(message: Any, name: str) -> Completion:
    """The completion in what a model gave. ``name`` is the backend's, for messages.

    Raises ModelFault for calls that can't be read, Unavailable for a stream that ends too early,
    and Rejected for what is no model's message.
    """
    from langchain_core.messages import AIMessage, AIMessageChunk

    if not isinstance(message, AIMessage):
        raise Rejected(f"{name} answered with {type(message).__name__}, not an AIMessage")
    facts = message.response_metadata
    finish = next((str(facts[key]) for key in _REASONS if facts.get(key)), "")
    if isinstance(message, AIMessageChunk) and "model_provider" in facts and not finish:
        raise Unavailable(f"{name} failed: its server broke off in the middle of an answer")
    cut_off = re.search("length|max_?tokens|incomplete", finish, re.IGNORECASE)
    finish = "length" if cut_off else finish or "stop"
    text = str(message.text)
    reasoning = "\n".join(_thoughts(message))
    if not reasoning:
        reasoning, text = split_reasoning(text)
    turn = Completion(
        text=text,
        finish=finish,
        usage=_usage(message.usage_metadata),
        reasoning=reasoning,
        model=str(facts.get("model_name") or facts.get("model") or ""),
    )
    try:
        return replace(turn, calls=tuple(_calls(message)))
    except ValueError as error:
        # What the model wrote is recorded, and read again as the text that it was.
        turn = replace(turn, text="\n".join(filter(None, [text, *_written(message)])))
        if finish != "length":
            raise ModelFault(str(error), turn) from None
        return turn


def _thoughts(message: Any) -> Iterator[str]:
    """What the model thought, wherever its provider puts it."""
    for block in message.content_blocks:
        block = block["value"] if block["type"] == "non_standard" else block
        thought = block.get("reasoning") or block.get("thinking")
        if block.get("type") in ("reasoning", "thinking") and isinstance(thought, str):
            yield thought


def _calls(message: Any) -> list[Call]:
    """Raises ValueError, in a sentence for the model, for arguments that are no object."""
    calls = []
    for call in _as_written(message):
        name, arguments = call["name"] or "", call["args"]
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}", strict=False)
            except (ValueError, RecursionError) as error:
                why = f"the arguments of {name[:64]} are no JSON: {str(error)[:200]}"
                raise ValueError(why) from None
        if not isinstance(arguments, dict):
            raise ValueError(f"the arguments of {name[:64]} are no JSON object")
        calls.append(Call(name, arguments, call["id"] or ""))
    return calls


def _as_written(message: Any) -> list[Mapping[str, Any]]:
    """The calls as they came. Merging a stream, LangChain mends them: half a call looks whole."""
    pieces = getattr(message, "tool_call_chunks", None)
    return list(pieces or [*message.tool_calls, *message.invalid_tool_calls])


def _written(message: Any) -> list[str]:
    return [
        f'{{"name": {json.dumps(call["name"])}, "arguments": '
        f"{call['args'] if isinstance(call['args'], str) else json.dumps(call['args'])}}}"
        for call in _as_written(message)
    ]


def _usage(used: Mapping[str, Any] | None) -> Usage:
    if not used:
        return Usage()
    return Usage(
        prompt=used["input_tokens"],
        completion=used["output_tokens"],
        cached=_sum(used.get("input_token_details"), "cache_read"),
        reasoning=_sum(used.get("output_token_details"), "reasoning"),
    )


def _sum(details: Mapping[str, Any] | None, kind: str) -> int:
    """Tokens of this kind, also where their names begin with a tier of service."""
    return sum(n or 0 for name, n in (details or {}).items() if name.endswith(kind))
