"""Reading calls out of what a model wrote. Nothing it wrote is ever evaluated.

`read_calls` takes ``name(a=1, b="x")`` as small models write it: amid prose and code fences, with
positional or keyword arguments, either kind of quotes, smart ones too. `read_json_calls` takes the
JSON that models write when they were trained on tool calls. What can't be read gives a Fault that
says what is wrong and how the function is used.

A bounded scanner comes first and lets only strings, numbers, constants and brackets through;
`ast.literal_eval` alone would die of 200,000 minus signs.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callsmith.chain import JSON, Call, Fault

if TYPE_CHECKING:
    from callsmith.functions import Function

MAX_TURN = 20_000
"""Characters of a turn that are read."""

MAX_DEPTH = 20
"""Brackets within brackets in one call."""

CONSTANTS = {
    "True": "True",
    "true": "True",
    "False": "False",
    "false": "False",
    "None": "None",
    "none": "None",
    "null": "None",
}

_HEAD = re.compile(r"(?<![\w.])((?:[A-Za-z_]\w*\.){0,3})([A-Za-z_]\w*)( ?)\(")
# What may stand before a call that begins its line: fences, bullets, prompts, an assignment.
_BEFORE = re.compile(r"[\s>*`\-]*(?:\d+[.)]\s*)?(?:\w+\s*=\s*|\w+:\s*)?`?\Z")
_NUMBER = re.compile(r"(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"[^\W\d]\w*")
_KEYWORD = re.compile(r"\s*[\"']?([A-Za-z_]\w*)[\"']?\s*(?:=(?!=)|:)")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_QUOTES = {'"': '"', "'": "'", "“": "”“", "”": "”“", "‘": "’‘'", "’": "’‘'", "`": "`"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}


class _Unreadable(Exception):
    """A call can't be read; the message is for the model."""


@dataclass(slots=True)
class _Argument:
    """One argument: its name if it has one, and Python source made of literals alone."""

    name: str
    source: str


def read_calls(
    text: str, functions: Mapping[str, Function]
) -> tuple[tuple[Call, ...], Fault | None]:
    """The calls in the text, in order, and the fault that ended the reading, if one did.

    A known function's name with brackets is a call wherever it stands; an unknown one only where
    it begins a line, so that prose is not mistaken for calls.
    """
    calls: list[Call] = []
    overlooked: Fault | None = None
    position = 0
    text = text[:MAX_TURN]
    while head := _HEAD.search(text, position):
        position = head.end()
        line = text[text.rfind("\n", 0, head.start()) + 1 : head.start()]
        begins_line = _BEFORE.match(line) is not None
        name = head[2]
        function = functions.get(name)
        if (function is None and (not begins_line or head[3])) or line.lstrip().startswith("#"):
            continue
        try:
            arguments, position = _scan(text, head.end())
            calls.append(Call(name, _bind(name, arguments, function)))
        except _Unreadable as error:
            usage = f". Usage: {function.signature}" if function else ""
            fault = Fault("unparsable", f"{name}(…) can't be read: {error}{usage}")
            if begins_line:
                return tuple(calls), fault
            overlooked = overlooked or fault
    return tuple(calls), None if calls else overlooked


def _scan(text: str, start: int) -> tuple[list[_Argument], int]:
    """The arguments from just after the opening bracket, and the place after the closing one."""
    arguments: list[_Argument] = []
    open_brackets = [")"]
    source: list[str] = []
    name, at, signed = "", start, False
    if keyword := _KEYWORD.match(text, at):
        name, at = keyword[1], keyword.end()
    while at < len(text):
        character = text[at]
        if character.isspace():
            source.append(" ")
            at += 1
            continue
        if character in "+-−":
            if signed:
                raise _Unreadable("it has two signs in a row")
            source.append("+" if character == "+" else "-")
            signed = True
            at += 1
            continue
        signed = False
        if character in _QUOTES:
            value, at = _scan_string(text, at)
            source.append(repr(value))
        elif character in _CLOSING:
            if len(open_brackets) >= MAX_DEPTH:
                raise _Unreadable(f"brackets are nested more than {MAX_DEPTH} deep")
            open_brackets.append(_CLOSING[character])
            source.append(character)
            at += 1
        elif character in ")]}":
            if character != open_brackets.pop():
                raise _Unreadable(f"{character!r} closes nothing")
            at += 1
            if not open_brackets:
                if "".join(source).strip() or name:
                    arguments.append(_Argument(name, "".join(source).strip()))
                return arguments, at
            source.append(character)
        elif character == "," and len(open_brackets) == 1:
            arguments.append(_Argument(name, "".join(source).strip()))
            source, name, at = [], "", at + 1
            if keyword := _KEYWORD.match(text, at):
                name, at = keyword[1], keyword.end()
        elif character in ",:":
            source.append(character)
            at += 1
        elif number := _NUMBER.match(text, at):
            source.append(number[0])
            at = number.end()
        elif (word := _WORD.match(text, at)) and word[0] in CONSTANTS:
            source.append(CONSTANTS[word[0]])
            at = word.end()
        else:
            raise _Unreadable(_stray(text, at, word[0] if word else character))
    raise _Unreadable(f"{open_brackets[-1]!r} is missing")


def _scan_string(text: str, at: int) -> tuple[str, int]:
    """The string that begins at ``at``, and the place after it."""
    quote = text[at]
    closing = _QUOTES[quote]
    triple = text[at : at + 3] == quote * 3
    at += 3 if triple else 1
    characters: list[str] = []
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            following = text[at + 1]
            characters.append(_ESCAPES.get(following, following))
            at += 2
        elif triple and text[at : at + 3] == quote * 3:
            return "".join(characters), at + 3
        elif not triple and character in closing and not _is_apostrophe(text, at):
            return "".join(characters), at + 1
        else:
            characters.append(character)
            at += 1
    raise _Unreadable(f"the string that begins with {quote} is not closed")


def _is_apostrophe(text: str, at: int) -> bool:
    """Whether a single quote stands inside a word (``'it's'``), where it ends no string."""
    around = text[at - 1 : at] + text[at + 1 : at + 2]
    return text[at] in "'’" and len(around) == 2 and around.isalpha()


def _stray(text: str, at: int, found: str) -> str:
    if found in "*/^×÷%" or (found in "$€£" and text[at + 1 : at + 2].isdigit()):
        return f"{found!r} has no place in a value: give a plain number, worked out by calls first"
    if text[at + len(found) : at + len(found) + 1] == "(":
        return f"{found}(…) stands inside another call: make one call at a time"
    return f"{found[:40]!r} is no value: give a number, a list, or a string in quotes"


def _bind(name: str, arguments: list[_Argument], function: Function | None) -> dict[str, JSON]:
    """Arguments by name. Positional ones take the function's names in order."""
    order = list(function.properties) if function else []
    bound: dict[str, JSON] = {}
    for index, argument in enumerate(arguments):
        value = _literal(argument)
        key = argument.name
        if not key:
            if len(arguments) == 1 and _is_object_of(value, order):
                return dict(value)
            if bound and index and arguments[index - 1].name:
                raise _Unreadable(
                    f"{argument.source[:40]!r} comes after named arguments and has no name; "
                    "write numbers without thousands separators"
                )
            if function and index >= len(order):
                raise _Unreadable(f"it takes {len(order)} arguments, not {len(arguments)}")
            key = order[index] if index < len(order) else str(index)
        if key in bound:
            raise _Unreadable(f"{key!r} is given twice")
        bound[key] = value
    return bound


def _is_object_of(value: JSON, names: list[str]) -> bool:
    """Whether a lone object holds the arguments: ``add({"a": 1, "b": 2})``."""
    return isinstance(value, dict) and bool(value) and set(value) <= set(names)


def _literal(argument: _Argument) -> JSON:
    label = f"the value of {argument.name!r}" if argument.name else "a value"
    if not argument.source:
        raise _Unreadable(f"{label} is missing")
    try:
        return _as_json(ast.literal_eval(argument.source))
    except (ValueError, SyntaxError, TypeError) as error:
        raise _Unreadable(f"{label} is no literal: {argument.source[:60]}") from error


def _as_json(value: object) -> JSON:
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError("no JSON value")


# ---- calls written as JSON ----------------------------------------------------------------------

_MARKS = re.compile(
    r"<tool_call>(.*?)(?:</tool_call>|\Z)"  # Hermes, Qwen
    r"|\[TOOL_CALLS\](.*)"  # Mistral
    r"|<\|python_tag\|>(.*)"  # Llama 3
    r"|```(?:json|tool_call)?\s*([\[{].*?)```",
    re.DOTALL,
)


def read_json_calls(text: str) -> tuple[tuple[Call, ...], Fault | None]:
    """The calls that a model wrote as JSON, marked as its template taught it or bare."""
    text = text[:MAX_TURN].strip()
    pieces = [
        next(piece for piece in found if piece) for found in _MARKS.findall(text) if any(found)
    ]
    if not pieces and text[:1] in ("{", "["):
        pieces = [text]
    calls: list[Call] = []
    for piece in pieces:
        try:
            value, _ = json.JSONDecoder().raw_decode(piece.strip())
        except (ValueError, RecursionError) as error:
            reason = str(error)[:100]
            return tuple(calls), Fault("unparsable", f"the call is no valid JSON: {reason}")
        for item in value if isinstance(value, list) else [value]:
            call = _call_from_json(item)
            if call is None:
                wanted = '{"name": …, "arguments": {…}}'
                return tuple(calls), Fault("unparsable", f"a call is written as {wanted}")
            calls.append(call)
    return tuple(calls), None


def before_calls(text: str) -> str:
    """The prose before the first call that is written into the text."""
    mark = _MARKS.search(text) or _HEAD.search(text)
    return "" if text.lstrip()[:1] in ("{", "[") else text[: mark.start() if mark else 0].strip()


def _call_from_json(item: JSON) -> Call | None:
    if not isinstance(item, dict):
        return None
    item = item.get("function", item) if isinstance(item.get("function", item), dict) else item
    name = item.get("name")
    arguments = item.get("arguments", item.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return Call(name, arguments, id=str(item.get("id", "")))
