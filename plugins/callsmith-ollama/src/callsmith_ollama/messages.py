"""The wire format of ``/api/chat``: a Request as its JSON body, its answer as a Completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from callsmith.backends import Completion, Message, Request
from callsmith.chain import JSON, Call, Usage
from callsmith.errors import ModelFault, Rejected, Unavailable
from callsmith.serving import split_reasoning


def write_request(
    request: Request, model: str, keep_alive: str | float, think: bool | str | None
) -> dict[str, Any]:
    """The body for one turn, but for the size of the window.

    The schemas of functions go out as they are. Raises Rejected for what Ollama has no way to do.
    """
    sampling = request.sampling
    options: dict[str, JSON] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "num_predict": sampling.max_tokens,
        "seed": request.turn_seed,
    }
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    if clash := sorted(sampling.extra.keys() & {*options, "stop", "num_ctx"}):
        raise Rejected(f"{clash[0]} can't be given as an extra: it has an option of its own")
    body: dict[str, Any] = {
        "model": model,
        "messages": [_write_message(message) for message in request.messages],
        "stream": request.on_text is not None,
        "keep_alive": keep_alive,
        "options": options | dict(sampling.extra),
        # Refuse what is too long, and don't forget the beginning while writing the end. Known to
        # Ollama since 0.12.6; those before take no notice.
        "truncate": False,
        "shift": False,
    }
    if request.tools:
        body["tools"] = list(request.tools)
    if request.constraint:
        if request.constraint.schema is None:
            raise Rejected("Ollama holds a model to JSON, not to a grammar: use --dialect json")
        body["format"] = dict(request.constraint.schema)
    if think is not None:
        body["think"] = think
    return body


def size_of(body: Mapping[str, Any]) -> int:
    """Bytes of what the model will read: the conversation and the functions."""
    read = [body["messages"], body.get("tools", [])]
    return len(json.dumps(read, ensure_ascii=False).encode(errors="surrogatepass"))


def _write_message(message: Message) -> dict[str, Any]:
    written = {"role": message["role"], "content": message.get("content") or ""}
    if calls := message.get("tool_calls"):
        written["tool_calls"] = [{"id": c["id"], "function": c["function"]} for c in calls]
    # Of a result, templates show the name; newer versions of Ollama go by the id.
    for ours, theirs in (("tool_call_id", "tool_call_id"), ("name", "tool_name")):
        if ours in message:
            written[theirs] = message[ours]
    return written


class Reply:
    """An answer as it comes in: one part, or many if it is streamed."""

    def __init__(self, on_text: Callable[[str], None] | None = None) -> None:
        self._on_text = on_text or (lambda _: None)
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[Call] = []
        self._unread: list[str] = []
        self._last: Mapping[str, Any] = {}

    def add(self, part: Mapping[str, Any]) -> None:
        """Raises Unavailable for what is no answer."""
        message = part.get("message")
        if not isinstance(message, Mapping):
            raise Unavailable("Ollama answered without a message")
        self._last = part
        text = str(message.get("content") or "")
        self._texts.append(text)
        self._thoughts.append(str(message.get("thinking") or ""))
        for call in _listed(message.get("tool_calls") or []):
            read = _read_call(call)
            if read:
                self._calls.append(read)
            else:
                self._unread.append(json.dumps(call, ensure_ascii=False))
        if text:
            self._on_text(text)

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt=_count(self._last, "prompt_eval_count"),
            completion=_count(self._last, "eval_count"),
            cached=_count(self._last, "prompt_eval_cached_count"),
        )

    def completion(self) -> Completion:
        """The whole turn.

        Raises ModelFault for a call that can't be one, and if the model wrote nothing at all;
        Unavailable if the answer has no end.
        """
        if not self._last.get("done"):
            raise Unavailable("Ollama's answer broke off before its end")
        finish = str(self._last.get("done_reason") or "stop")
        text, reasoning = "".join(self._texts), "".join(self._thoughts)
        if not reasoning:
            reasoning, text = split_reasoning(text)
        model = str(self._last.get("model") or "")
        turn = Completion(text, tuple(self._calls), finish, self.usage, reasoning, model)
        if self._unread:
            written = "\n".join(filter(None, [text, *self._unread]))
            raise ModelFault(
                "the call could not be read: its arguments are no object",
                replace(turn, text=written, calls=()),
            )
        if not text.strip() and not self._calls:
            if finish in ("load", "unload"):
                raise Unavailable("Ollama loaded the model, and did not let it write")
            if not reasoning and finish != "length":
                raise ModelFault("the turn is empty: call a function", turn)
        return turn


def _listed(calls: Any) -> Sequence[Any]:
    if not isinstance(calls, Sequence):
        raise Unavailable("Ollama answered with tool calls that are no list")
    return calls


def _read_call(call: Any) -> Call | None:
    """The call, None if it can't be one."""
    try:
        name, arguments = call["function"]["name"], call["function"].get("arguments")
        if isinstance(arguments, str):  # of servers that speak Ollama's protocol not quite
            arguments = json.loads(arguments or "{}")
        if not isinstance(name, str) or not isinstance(arguments, Mapping | None):
            raise TypeError("its arguments are no object")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    return Call(name, arguments or {}, str(call.get("id") or ""))


def _count(part: Mapping[str, Any], key: str) -> int:
    value = part.get(key)
    return max(0, value) if isinstance(value, int) else 0
