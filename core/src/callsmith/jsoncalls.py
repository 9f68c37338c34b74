"""Reading calls that a model wrote as JSON into its text, marked as its template taught it or bare.

Servers usually tell such calls apart themselves; this is for those that don't.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from callsmith.chain import JSON, Call, Fault
from callsmith.values import plain, readable

MAX_TURN = 20_000
"""Characters of a turn that are read."""

# Possessive where spaces repeat: a long run of them must not be tried again from each place.
MARKS = re.compile(
    r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)"  # Hermes, Qwen
    r"|\[TOOL_CALLS\](.*?)(?=\[TOOL_CALLS\]|\Z)"  # Mistral
    r"|<\|python_tag\|>(.*)"  # Llama 3
    r"|```(?:json|tool_call)?\s*+(\[?\s*+\{.*?)```",
    re.DOTALL,
)
BARE = re.compile(
    r"""\A\s*+\[?\s*+\{  # the whole turn
    |^[ \t]*+\[?\s*+\{(?=\s*+"(?:call|name|function|type)"\s*+:)  # or from some line on""",
    re.VERBOSE | re.MULTILINE,
)
_MISTRAL_NAME = re.compile(r"\s*+([A-Za-z_][\w.]*+)\s*+(?:\[ARGS\])?\s*+(?=\{)")
_BETWEEN = re.compile(r"[\s;,]*(?=[\[{])")
_SHAPE = '{"name": …, "arguments": {…}}'


def read_json_calls(text: str) -> tuple[tuple[Call, ...], Fault | None]:
    """The calls in the text, in order, and the fault that ended the reading, if one did."""
    text = text[:MAX_TURN].strip()
    pieces = [
        next(piece for piece in found if piece) for found in MARKS.findall(text) if any(found)
    ]
    if not pieces and (bare := BARE.search(text)):
        pieces = [text[bare.start() :]]
    calls: list[Call] = []
    for piece in pieces:
        try:
            calls += map(_call, _values(piece))
        except (ValueError, RecursionError) as error:
            return tuple(calls), Fault("unparsable", f"the call can't be read: {str(error)[:200]}")
    return tuple(calls), None


def _values(piece: str) -> Iterator[JSON]:
    """The JSON values in a piece, one after another; what follows them is prose."""
    named = _MISTRAL_NAME.match(piece)
    at = named.end() if named else len(piece) - len(piece.lstrip())
    while True:
        value, at = json.JSONDecoder().raw_decode(piece, at)
        if named:
            yield {"name": named[1], "arguments": value}
        else:
            yield from value if isinstance(value, list) else [value]
        if named or not (more := _BETWEEN.match(piece, at)):
            return
        at = more.end()


def _call(item: JSON) -> Call:
    """The call in an object of any of the shapes that models are taught."""
    if isinstance(item, dict) and isinstance(item.get("call"), dict):
        item = item["call"]  # what the dialect json asks for
    elif isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"] | {"id": item.get("id", "")}
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError(f"write it as {_SHAPE}")
    arguments = item.get("arguments", item.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError(f"its arguments are no object; write it as {_SHAPE}")
    return Call(readable(item["name"]), plain(arguments), id=readable(str(item.get("id") or "")))
