"""What Ollama takes on /api/chat, checked as strictly as Go's types check it, and more.

Fields and options that real Ollama does not know, it ignores; here they are refused, so that a
misspelt one is found. Its sentences are those of its sources.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and (bool in kinds or type(value) is not bool)


_text, _number, _whole, _flag, _object = _is(str), _is(int, float), _is(int), _is(bool), _is(dict)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


CHAT: dict[str, Check] = {
    "model": _text,
    "messages": _list_of(_object),
    "tools": _list_of(_object),
    "format": lambda value: value == "json" or isinstance(value, dict),
    "stream": _flag,
    "keep_alive": _is(str, int, float),
    "options": _object,
    "think": _is(bool, str),
    "truncate": _flag,
    "shift": _flag,
}
MESSAGE: dict[str, Check] = {
    "role": _text,
    "content": _text,
    "thinking": _text,
    "tool_calls": _list_of(_object),
    "tool_name": _text,
    "tool_call_id": _text,
}
OPTIONS: dict[str, Check] = {
    **dict.fromkeys(["num_ctx", "num_predict", "num_keep", "seed", "top_k"], _whole),
    **dict.fromkeys(["repeat_last_n", "num_gpu", "num_thread", "num_batch"], _whole),
    **dict.fromkeys(["temperature", "top_p", "min_p", "typical_p"], _number),
    **dict.fromkeys(["repeat_penalty", "presence_penalty", "frequency_penalty"], _number),
    "stop": _list_of(_text),
}
ROLES = ("system", "user", "assistant", "tool")


class Refused(Exception):
    """Answered with a status and ``{"error": message}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_chat(body: Any) -> None:
    """Raises Refused if the body of a chat request is not what Ollama takes."""
    _check(body, CHAT, "ChatRequest")
    if not body.get("model"):
        raise Refused(400, "model is required")
    _check(body.get("options", {}), OPTIONS, "ChatRequest.options")
    for message in body.get("messages", []):
        _check(message, MESSAGE, "ChatRequest.messages")
        if message.get("role") not in ROLES:
            raise Refused(400, f'invalid role: "{message.get("role")}"')
        for call in message.get("tool_calls", []):
            _check(call, {"id": _text, "function": _object}, "ToolCall")
            _check(call["function"], {"name": _text, "arguments": _object}, "ToolCallFunction")
    for tool in body.get("tools", []):
        _check(tool, {"type": _text, "function": _object}, "Tool")
        known = {"name": _text, "description": _text, "parameters": _object}
        _check(tool["function"], known, "ToolFunction")
    if isinstance(body.get("think"), str) and body["think"] not in ("high", "medium", "low"):
        raise Refused(
            400,
            f'invalid think value: "{body["think"]}" '
            '(must be "high", "medium", "low", true, or false)',
        )
    seconds(body.get("keep_alive", 0))


def _check(value: Any, known: dict[str, Check], where: str) -> None:
    if not isinstance(value, dict):
        raise Refused(400, f"json: cannot unmarshal {type(value).__name__} into Go value {where}")
    for name, part in value.items():
        if name not in known:
            raise Refused(400, f'json: unknown field "{name}" in {where}')
        if not known[name](part):
            raise Refused(
                400, f"json: cannot unmarshal {type(part).__name__} into Go field {where}.{name}"
            )


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(keep_alive: str | float) -> float:
    """How long a model stays loaded, for ever if negative. Raises Refused as Go's durations do."""
    if not isinstance(keep_alive, str):
        return float(keep_alive)
    if not re.fullmatch(r"-?(\d+(\.\d+)?(ms|s|m|h))+", keep_alive):
        raise Refused(400, f'time: invalid duration "{keep_alive}"')
    total = sum(
        float(number) * UNITS[unit]
        for number, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", keep_alive)
    )
    return -total if keep_alive.startswith("-") else total
