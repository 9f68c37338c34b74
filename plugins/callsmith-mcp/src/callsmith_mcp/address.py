"""What may follow ``mcp:``: a command or a URL, what it is given, and which tools are wanted."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from callsmith.errors import PluginError

_SETTING = re.compile(r"([A-Za-z_][\w-]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Address:
    """A server: ``url``, or a ``command`` to start. ``label`` names it in messages.

    ``settings`` are a command's environment variables and a URL's headers; ``tools`` are the names
    of those to take, all if there are none.
    """

    label: str
    command: tuple[str, ...] = ()
    url: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    tools: tuple[str, ...] = ()


def read_address(text: str) -> Address:
    """``[NAME=VALUE…] COMMAND ARGS…`` or ``[NAME=VALUE…] URL``, then maybe ``#TOOL,TOOL``.

    ``$NAME`` in a value is the variable of that name here. Raises PluginError.
    """
    place, tools = text, ""
    if chosen := re.search(r"#([\w.,/-]+)\s*$", text):
        place, tools = text[: chosen.start()], chosen[1]
    try:
        words = shlex.split(place)
    except ValueError as error:
        raise PluginError(f"mcp:{text} can't be read as a command: {error}") from None
    settings: dict[str, str] = {}
    while words and (setting := _SETTING.fullmatch(words[0])):
        settings[setting[1]] = _expand(setting[2])
        words.pop(0)
    if not words:
        raise PluginError("mcp: is followed by a command or a URL, as in -f 'mcp:python server.py'")
    names = tuple(filter(None, tools.split(",")))
    if not re.match(r"https?://", words[0]):
        return Address(shlex.join(words), tuple(words), settings=settings, tools=names)
    if len(words) > 1:
        raise PluginError(f"mcp:{words[0]} is a URL: nothing may follow it but #TOOL,TOOL")
    # A query may hold a key.
    label = re.sub(r"(?<=//)[^/]*@", "", words[0].partition("?")[0])
    return Address(label, url=words[0], settings=settings, tools=names)


def _expand(value: str) -> str:
    def variable(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in os.environ:
            raise PluginError(f"${name} is given to an MCP server, but there is no such variable")
        return os.environ[name]

    return _VARIABLE.sub(variable, value)
