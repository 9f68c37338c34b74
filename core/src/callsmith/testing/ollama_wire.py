"""How Ollama speaks: ``/api/chat``, ``/api/tags``, ``/api/show`` and ``/api/version``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from callsmith.backends import Completion, Message
from callsmith.chain import JSON, Call
from callsmith.testing.wires import Sent, pieces

_NOW = "2025-01-01T00:00:00Z"


@dataclass(frozen=True)
class OllamaWire:
    """As Ollama 0.12 does it. ``context`` is how many tokens its model was trained to read."""

    model: str = "tiny:latest"
    base: str = ""
    chat: str = "/api/chat"
    stream_type: str = "application/x-ndjson"
    context: int = 2**20

    def look_up(self, path: str, body: JSON) -> tuple[int, JSON]:
        details = {"family": "llama", "format": "gguf", "parameter_size": "1M"}
        if path == "/api/version":
            return 200, {"version": "0.12.6"}
        if path == "/api/tags":
            entry = {"name": self.model, "model": self.model, "size": 1_000_000, "digest": "0" * 64}
            return 200, {"models": [entry | {"modified_at": _NOW, "details": details}]}
        if path == "/api/ps":
            return 200, {"models": []}
        if path == "/api/show":
            name = body.get("model") or body.get("name")
            if not self._is(name):
                return 404, self.error(404, f"model '{name}' not found")
            facts = {"general.architecture": "llama", "llama.context_length": self.context}
            return 200, {
                "modified_at": _NOW,
                "details": details,
                "model_info": facts,
                "template": "{{ .Prompt }}",
                "capabilities": ["completion", "tools"],
            }
        return 404, self.error(404, f"there is nothing at {path}")

    def read(self, body: JSON) -> Sent:
        if not self._is(body["model"]):
            raise ValueError(f"model '{body['model']}' not found")
        options = dict(body.get("options") or {})
        stop = options.pop("stop", None) or ()
        known = {"model", "messages", "tools", "options", "format", "stream"}
        rest = {name: value for name, value in body.items() if name not in known}
        return Sent(
            model=self.model,
            messages=_from_ollama(body["messages"]),
            tools=body.get("tools") or (),
            temperature=options.pop("temperature", None),
            top_p=options.pop("top_p", None),
            max_tokens=options.pop("num_predict", None),
            stop=tuple(stop),
            seed=options.pop("seed", None),
            schema=body.get("format") or None,
            stream=body.get("stream", True),
            extra=rest | options,
        )

    def answer(self, turn: Completion) -> JSON:
        message: dict[str, JSON] = {"role": "assistant", "content": turn.text}
        if turn.reasoning:
            message["thinking"] = turn.reasoning
        if turn.calls:
            message["tool_calls"] = [_ollama_call(call) for call in turn.calls]
        return self._body(message) | self._ending(turn)

    def frames(self, turn: Completion) -> list[bytes]:
        said = [{"content": "", "thinking": piece} for piece in pieces(turn.reasoning)]
        said += [{"content": piece} for piece in pieces(turn.text)]
        messages: list[dict[str, JSON]] = [{"role": "assistant", **piece} for piece in said]
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [_ollama_call(call)]}
            for call in turn.calls
        ]
        ending = self._body({"role": "assistant", "content": ""}) | self._ending(turn)
        return [self.frame(self._body(message)) for message in messages] + [self.frame(ending)]

    def frame(self, body: JSON) -> bytes:
        return json.dumps(body, ensure_ascii=False).encode() + b"\n"

    def error(self, status: int, message: str) -> JSON:
        return {"error": message}

    def without_turn(self) -> JSON:
        return {"model": self.model, "created_at": _NOW, "done": True, "done_reason": "stop"}

    def unreadable_call(self, streamed: bool) -> tuple[int, bytes]:
        said = 'error parsing tool call: raw=\'{"a": 48, "b": \', err=unexpected end of JSON input'
        return 200 if streamed else 500, self.frame(self.error(500, said))

    def _is(self, name: JSON) -> bool:
        return isinstance(name, str) and name.removesuffix(":latest") == self.model.removesuffix(
            ":latest"
        )

    def _body(self, message: JSON) -> dict[str, JSON]:
        return {"model": self.model, "created_at": _NOW, "message": message, "done": False}

    def _ending(self, turn: Completion) -> dict[str, JSON]:
        return {
            "done": True,
            "done_reason": "length" if turn.finish == "length" else "stop",
            "prompt_eval_count": turn.usage.prompt,
            "eval_count": turn.usage.completion,
        }


def _ollama_call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}


def _from_ollama(messages: Sequence[Message]) -> list[Message]:
    """Ollama knows no ids but by position: results are in the order of their calls, by name."""
    read: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        calls = message.get("tool_calls") or ()
        if any(not isinstance(call["function"]["arguments"], dict) for call in calls):
            raise ValueError("json: cannot unmarshal string into a call's arguments")
        if message["role"] == "tool":
            name = message.get("tool_name")
            if name is not None and (not waiting or waiting.pop(0) != name):
                raise ValueError(f"a result of {name} must follow its call")
        else:
            waiting = [call["function"]["name"] for call in calls]
        read.append(dict(message))
    return read
