"""Reading calls out of what a model wrote. Nothing it wrote is ever evaluated.

`read_calls` takes ``name(a=1, b="x")`` as small models write it: amid prose and code fences, with
positional or keyword arguments, either kind of quotes, smart ones too. What can't be read gives a
Fault that says what is wrong and how the function is used. Calls written as JSON are `jsoncalls`'.

A bounded scanner comes first and lets only strings, numbers, constants and brackets through;
`ast.literal_eval` alone would die of 200,000 minus signs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callsmith.chain import JSON, Call, Fault
from callsmith.jsoncalls import BARE, MARKS, MAX_TURN
from callsmith.values import MAX_DEPTH, plain

if TYPE_CHECKING:
    from callsmith.functions import Function

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
# Possessive, here as below: a long line must not be tried again from each of its places.
_BEFORE = re.compile(r"[\s>*`\-\[]*+(?:\d++[.)]\s*+)?(?:\w++\s*+=\s*+|\w++:\s*+)?`?\Z")
_NUMBER = re.compile(r"(?:\d[\d_]*+\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?(?![\w.])")
_WORD = re.compile(r"[^\W\d]\w*+")
_TOKEN = re.compile(r"[\w.]++|.", re.DOTALL)
_KEYWORD = re.compile(r"""\s*+(["']?)([^\W\d]\w*+)\1\s*+(?:=(?!=)|:)""")
_SIGNS = "+-−–"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_QUOTES = {'"': '"', "'": "'", "“": "”“", "”": "”“", "‘": "’‘'", "’": "’‘'", "`": "`"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
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
    position, line, is_comment = 0, -1, False
    text = text[:MAX_TURN]
    while head := _HEAD.search(text, position):
        position = head.end()
        begins_line = False
        start = text.rfind("\n", 0, head.start()) + 1
        if start != line:  # only the first of a line can begin it
            line, before = start, text[start : head.start()]
            begins_line = _BEFORE.match(before) is not None
            is_comment = before.lstrip().startswith("#")
        name = head[2]
        function = functions.get(name)
        if is_comment or (function is None and (not begins_line or head[3])):
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
    name, at = _scan_name(text, start)
    ended = False  # whether a value has just ended, after which a comma or a bracket must come
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character in ")]}":
            if character != open_brackets.pop():
                raise _Unreadable(f"{character!r} closes nothing")
            at += 1
            if not open_brackets:
                if source or name:
                    arguments.append(_Argument(name, "".join(source)))
                return arguments, at
            source.append(character)
            ended = True
        elif character == "," and len(open_brackets) == 1:
            arguments.append(_Argument(name, "".join(source)))
            name, at = _scan_name(text, at + 1)
            source, ended = [], False
        elif character in ",:":
            source.append(character)
            at, ended = at + 1, False
        elif character in _CLOSING and not ended:
            if len(open_brackets) > MAX_DEPTH:
                raise _Unreadable(f"brackets are nested more than {MAX_DEPTH} deep")
            open_brackets.append(_CLOSING[character])
            source.append(character)
            at += 1
        else:
            if ended and (keyword := _KEYWORD.match(text, at)):
                raise _Unreadable(f"a comma is missing before {keyword[0]}")
            if ended and character in _SIGNS:
                raise _Unreadable(_stray(text, at))
            value, after = _scan_value(text, at)
            if ended:
                raise _Unreadable(f"a comma is missing before {text[at:after][:40]}")
            source.append(value)
            at, ended = after, True
    raise _Unreadable(f"{open_brackets[-1]!r} is missing")


def _scan_name(text: str, at: int) -> tuple[str, int]:
    """The name of the argument that begins at ``at``, if it has one, and the place after it."""
    keyword = _KEYWORD.match(text, at)
    return (keyword[2], keyword.end()) if keyword else ("", at)


def _scan_value(text: str, at: int) -> tuple[str, int]:
    """The string, number or constant at ``at`` as Python source, and the place after it."""
    sign, place = "", at
    if text[at] in _SIGNS:
        sign = "+" if text[at] == "+" else "-"
        place = at + 1
        while text[place : place + 1].isspace():
            place += 1
    elif text[at] in _QUOTES:
        value, after = _scan_string(text, at)
        return repr(value), after
    elif (word := _WORD.match(text, at)) and word[0] in CONSTANTS:
        return CONSTANTS[word[0]], word.end()
    if number := _NUMBER.match(text, place):
        return sign + number[0], number.end()
    raise _Unreadable(_stray(text, place))


def _scan_string(text: str, at: int) -> tuple[str, int]:
    """The string that begins at ``at``, and the place after it."""
    quote = text[at]
    closing = _QUOTES[quote]
    triple = text[at : at + 3] == quote * 3
    at += 3 if triple else 1
    characters: list[str] = []
    while at < len(text):
        character = text[at]
        if escape := _ESCAPE.match(text, at):
            characters.append(_unescape(escape))
            at = escape.end()
        elif triple and text[at : at + 3] == quote * 3:
            return "".join(characters), at + 3
        elif not triple and character in closing and not _is_apostrophe(text, at):
            return "".join(characters), at + 1
        else:
            characters.append(character)
            at += 1
    raise _Unreadable(f"the string that begins with {quote} is not closed")


def _unescape(escape: re.Match[str]) -> str:
    """What Python or JSON means by it. Other letters keep their backslash: they are LaTeX."""
    if code := escape[1] or escape[2] or escape[3]:
        return chr(int(code, 16)) if int(code, 16) < 0x110000 else "\ufffd"
    letter = escape[4]
    return _ESCAPES.get(letter, escape[0] if letter.isalnum() else letter)


def _is_apostrophe(text: str, at: int) -> bool:
    """Whether a single quote stands inside a word (``'it's'``), where it ends no string."""
    around = text[at - 1 : at] + text[at + 1 : at + 2]
    return text[at] in "'’" and len(around) == 2 and around.isalpha()


def _stray(text: str, at: int) -> str:
    """What is wrong with what stands in a value's place."""
    token = _TOKEN.match(text, at)
    if token is None:
        return "the value is missing"
    found = token[0]
    if found in _SIGNS + "*/^×÷%" or (found in "$€£" and text[at + 1 : at + 2].isdigit()):
        return f"{found!r} has no place in a value: give a plain number, worked out by calls first"
    if text[token.end() : token.end() + 1] == "(":
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
    if not argument.source:
        label = f"the value of {argument.name!r}" if argument.name else "a value"
        raise _Unreadable(f"{label} is missing")
    with suppress(ValueError):
        return int(argument.source)  # most of them, and fifty times as fast
    try:
        return plain(ast.literal_eval(argument.source))
    except (ValueError, SyntaxError, TypeError) as error:
        whose = f" for {argument.name!r}" if argument.name else ""
        raise _Unreadable(f"{argument.source[:60]} is no value{whose}") from error


def before_calls(text: str) -> str:
    """The prose before the first call that is written into the text."""
    text = text[:MAX_TURN]
    mark = MARKS.search(text) or BARE.search(text) or _HEAD.search(text)
    return text[: mark.start() if mark else 0].strip()
