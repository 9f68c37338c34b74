"""How OpenAI-compatible servers speak: ``/v1/chat/completions`` and ``/v1/models``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from callsmith.backends import Completion, Message
from callsmith.chain import JSON, Call, Usage
from callsmith.testing.wires import Sent, pieces


@dataclass(frozen=True)
class OpenAIWire:
    """As OpenAI's own server does it, which is stricter than others."""

    model: str = "tiny"
    base: str = "/v1"
    chat: str = "/v1/chat/completions"
    stream_type: str = "text/event-stream"

    def look_up(self, path: str, body: JSON) -> tuple[int, JSON]:
        entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "callsmith"}
        if path == "/v1/models":
            return 200, {"object": "list", "data": [entry]}
        if path == f"/v1/models/{self.model}":
            return 200, entry
        return 404, self.error(404, f"there is nothing at {path}")

    def read(self, body: JSON) -> Sent:
        known = dict(body)
        if known["model"] != self.model:
            raise ValueError(f"the model {known['model']!r} does not exist")
        constraint = known.pop("response_format", None) or {}
        stop = known.pop("stop", None) or ()
        streamed = known.pop("stream", False)
        told = known.pop("stream_options", None) or {}
        limit = known.pop("max_tokens", None)
        return Sent(
            model=known.pop("model"),
            messages=[_from_openai(message) for message in _linked(known.pop("messages"))],
            tools=known.pop("tools", None) or (),
            temperature=known.pop("temperature", None),
            top_p=known.pop("top_p", None),
            max_tokens=known.pop("max_completion_tokens", limit),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=known.pop("seed", None),
            schema=constraint.get("json_schema", {}).get("schema"),
            grammar=known.pop("grammar", ""),
            stream=streamed,
            usage=not streamed or bool(told.get("include_usage")),
            extra=known,
        )

    def answer(self, turn: Completion) -> JSON:
        message: dict[str, JSON] = {"role": "assistant", "content": turn.text or None}
        if turn.reasoning:
            message["reasoning_content"] = turn.reasoning
        if turn.calls:
            message["tool_calls"] = [_openai_call(call) for call in turn.calls]
        choice = {"index": 0, "message": message, "finish_reason": turn.finish}
        return self._body("chat.completion", [choice]) | {"usage": _openai_usage(turn)}

    def frames(self, turn: Completion) -> list[bytes]:
        return self._frames(turn, [_openai_call(call) for call in turn.calls])

    def _frames(self, turn: Completion, calls: Sequence[dict[str, Any]]) -> list[bytes]:
        deltas: list[dict[str, JSON]] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": piece} for piece in pieces(turn.reasoning)]
        deltas += [{"content": piece} for piece in pieces(turn.text)]
        for index, call in enumerate(calls):
            function = call["function"]
            begun: JSON = call | {"index": index, "function": function | {"arguments": ""}}
            deltas.append({"tool_calls": [begun]})
            for piece in pieces(function["arguments"]):
                more = {"index": index, "function": {"arguments": piece}}
                deltas.append({"tool_calls": [more]})
        choices: list[JSON] = [
            {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        choices.append({"index": 0, "delta": {}, "finish_reason": turn.finish})
        bodies = [self._body("chat.completion.chunk", [choice]) for choice in choices]
        if turn.usage.total:
            bodies.append(self._body("chat.completion.chunk", []) | {"usage": _openai_usage(turn)})
        return [*map(self.frame, bodies), b"data: [DONE]\n\n"]

    def frame(self, body: JSON) -> bytes:
        return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"

    def error(self, status: int, message: str) -> JSON:
        return {"error": {"message": message, "type": "server_error", "code": status}}

    def without_turn(self) -> JSON:
        return self._body("chat.completion", [])

    def unreadable_call(self, streamed: bool) -> tuple[int, bytes]:
        call = _openai_call(Call("add", {}, "call_1"))
        call["function"]["arguments"] = '{"a": 48, "b": '
        turn = Completion(finish="tool_calls", usage=Usage(11, 7))
        if streamed:
            return 200, b"".join(self._frames(turn, [call]))
        body = self.answer(turn)
        body["choices"][0]["message"]["tool_calls"] = [call]
        return 200, json.dumps(body).encode()

    def _body(self, kind: str, choices: Sequence[JSON]) -> dict[str, JSON]:
        return {"id": "1", "object": kind, "created": 0, "model": self.model, "choices": choices}


def _openai_call(call: Call) -> dict[str, Any]:
    written = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": written},
    }


def _openai_usage(turn: Completion) -> dict[str, JSON]:
    usage = turn.usage
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _linked(messages: Sequence[Message]) -> Sequence[Message]:
    """OpenAI's rules: ids are there and differ, and each result follows the call that it is of."""
    open_ids: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_ids:
                raise ValueError("a message of the role tool must follow a call with its id")
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            raise ValueError(f"the call {open_ids[0]} has no result")
        for call in message.get("tool_calls") or ():
            if not call.get("id") or call["id"] in open_ids:
                raise ValueError("each call of a turn must have an id of its own")
            if not isinstance(call["function"]["arguments"], str):
                raise ValueError("a call's arguments must be JSON text, not an object")
            open_ids.append(call["id"])
    return messages


def _from_openai(message: Message) -> Message:
    calls = [
        call
        | {"function": call["function"] | {"arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls") or ()
    ]
    return message | ({"tool_calls": calls} if calls else {})
