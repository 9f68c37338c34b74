"""What a server answers, as a `Completion`: at once, or merged from the pieces of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from callsmith.backends import Completion
from callsmith.chain import JSON, Call, Usage
from callsmith.errors import ModelFault
from callsmith.serving import split_reasoning
from callsmith_openai.failures import Failures


def read_answer(data: JSON, failures: Failures) -> Completion:
    """The completion in an answer.

    Raises ModelFault for a call whose arguments are no JSON object, and what `Failures` makes of
    an error in the answer, or of an answer with no choice in it.
    """
    choice = _choice(data, failures)
    message = choice and choice.get("message")
    if not choice or not isinstance(message, dict):
        raise failures.nonsense("answers without a choice in it")
    return _completion(message, choice.get("finish_reason"), data.get("usage"), data.get("model"))


class Merged:
    """An answer that comes in pieces."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._at: dict[int, int] = {}
        self._finish = ""
        self._usage: JSON = None
        self._model = ""

    def add(self, event: str) -> str:
        """Take in the data of an event; the text in it is returned. Raises as `read_answer`."""
        try:
            data = json.loads(event)
        except (ValueError, RecursionError):
            raise self._failures.nonsense("streams what is no JSON") from None
        choice = _choice(data, self._failures)
        self._usage = data.get("usage") or self._usage
        self._model = data.get("model") or self._model
        if not choice:
            return ""
        if choice.get("finish_reason"):
            self._finish = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        text, reasoning = _words(delta)
        self._text.append(text)
        self._reasoning.append(reasoning)
        for call in _objects(delta.get("tool_calls")):
            self._merge(call)
        return text

    def completion(self) -> Completion:
        """What has come. Raises as `read_answer`, and Unavailable if it has not come to an end.

        A stream should end by ``[DONE]``, which transformers' never does; what says why it ended,
        all of them send.
        """
        if not self._finish:
            raise self._failures.nonsense("broke off in the middle of an answer")
        message = {
            "content": "".join(self._text),
            "reasoning_content": "".join(self._reasoning),
            "tool_calls": self._calls,
        }
        return _completion(message, self._finish, self._usage, self._model)

    def _merge(self, piece: Mapping[str, Any]) -> None:
        """A piece of a call goes to the call at its index; some servers give all calls the same."""
        function = _function(piece)
        index, id, arguments = piece.get("index"), _text(piece.get("id")), function.get("arguments")
        index = index if isinstance(index, int) else 0
        at = self._at.get(index, -1)
        if at < 0 or (id and self._calls[at]["id"] not in ("", id)):
            at = self._at[index] = len(self._calls)
            self._calls.append({"id": "", "function": {"name": "", "arguments": ""}})
        call = self._calls[at]
        call["id"] = call["id"] or id
        merged = call["function"]
        merged["name"] = merged["name"] or _text(function.get("name"))
        if isinstance(arguments, str) and isinstance(merged["arguments"], str):
            merged["arguments"] += arguments
        elif arguments is not None:
            merged["arguments"] = arguments


class Events:
    """Cuts the bytes of a stream of server-sent events into the data of each."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that are complete now; one line each, as all servers write it."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [
            line[5:].strip().decode(errors="replace") for line in lines if line.startswith(b"data:")
        ]


def _choice(data: JSON, failures: Failures) -> Mapping[str, Any] | None:
    """The first choice in an answer or a piece of one, None if there is none."""
    if not isinstance(data, dict):
        raise failures.nonsense("answers with JSON that is no completion")
    if data.get("error"):
        raise failures.inside(data["error"])
    choice = next(iter(_objects(data.get("choices"))), None)
    if choice and choice.get("error"):
        raise failures.inside(choice["error"])
    return choice


def _completion(message: Mapping[str, Any], finish: Any, usage: Any, model: Any) -> Completion:
    text, reasoning = _words(message)
    if not reasoning:
        reasoning, text = split_reasoning(text)
    finish = finish if isinstance(finish, str) and finish else "stop"
    name, used = model if isinstance(model, str) else "", _usage(usage)
    try:
        calls = [_call(item) for item in _objects(message.get("tool_calls"))]
    except ValueError as error:
        # What the model wrote is recorded, and read again as the text that it was.
        written = [text, *map(_written, _objects(message["tool_calls"]))]
        turn = Completion("\n".join(filter(None, written)), (), finish, used, reasoning, name)
        if finish != "length":
            raise ModelFault(str(error), turn) from None
        return turn
    return Completion(text, tuple(calls), finish, used, reasoning, name)


def _words(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and reasoning of a message, or of a piece of one. A refusal is text like any other."""
    content = message.get("content") or message.get("refusal")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    text = content if isinstance(content, str) else ""
    thoughts = reasoning if isinstance(reasoning, str) else ""
    for part in _objects(content):  # as Mistral's models write what they thought
        text += _text(part.get("text"))
        thoughts += "".join(
            _text(thought.get("text")) for thought in _objects(part.get("thinking"))
        )
    return text, thoughts


def _call(item: Mapping[str, Any]) -> Call:
    """Raises ValueError, in a sentence for the model, if the arguments are no object."""
    function = _function(item)
    name, arguments = _text(function.get("name")), function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else None
        except (ValueError, RecursionError) as error:
            why = f"the arguments of {name[:64]} are no JSON: {str(error)[:200]}"
            raise ValueError(why) from None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {name[:64]} are no JSON object")
    return Call(name, arguments, _text(item.get("id")))


def _written(item: Mapping[str, Any]) -> str:
    """The call as a model writes it, without an end if its arguments have none."""
    function = _function(item)
    arguments = function.get("arguments")
    start = f'{{"name": {json.dumps(_text(function.get("name")))}, "arguments": '
    if not isinstance(arguments, str):
        return f"{start}{json.dumps(arguments)}}}"
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return f"{start}{arguments}"
    return f"{start}{arguments}}}"


def _function(item: Mapping[str, Any]) -> Mapping[str, Any]:
    function = item.get("function")
    return function if isinstance(function, dict) else {}


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()

    def count(counts: Any, name: str) -> int:
        number = counts.get(name) if isinstance(counts, dict) else 0
        return number if isinstance(number, int) else 0

    return Usage(
        prompt=count(usage, "prompt_tokens"),
        completion=count(usage, "completion_tokens"),
        cached=count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _objects(value: Any) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
