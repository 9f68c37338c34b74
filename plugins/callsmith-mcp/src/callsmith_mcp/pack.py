"""The tools of an MCP server as a function pack. The SDK is imported when a server is opened."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from callsmith.errors import PluginError
from callsmith.functions import AddressedPack, Function, FunctionPack
from callsmith_mcp.address import Address, read_address

if TYPE_CHECKING:
    from mcp_types import Tool

    from callsmith_mcp.connection import Connection


def open_server(address: str) -> FunctionPack:
    """The tools of the server that a command starts, or that is at a URL, as functions.

    Raises PluginError for a server that can't be had, for a tool that it does not have, and for
    one that no model could be offered.
    """
    where = read_address(address)
    from callsmith_mcp.connection import Connection

    connection = Connection(where)
    tools = connection.list_tools()
    try:
        functions = [_function(tool, where, connection) for tool in _chosen(tools, where)]
    except PluginError:
        connection.close()
        raise
    return FunctionPack(f"the tools of {where.label}", functions, connection.close)


pack = AddressedPack("the tools of an MCP server: a command that starts one, or a URL", open_server)


def _chosen(tools: list[Tool], where: Address) -> Iterator[Tool]:
    named = {tool.name: tool for tool in tools}
    for name in where.tools or named:
        if name not in named:
            close = difflib.get_close_matches(name, named, n=3)
            rest = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(named)}"
            raise PluginError(f"MCP server {where.label} has no tool {name!r}; {rest}")
        yield named[name]


def _function(tool: Tool, where: Address, connection: Connection) -> Function:
    from callsmith_mcp.connection import CALL_SECONDS

    wrong = schema_fault(tool.input_schema)
    if wrong:
        raise PluginError(
            f"the tool {tool.name} of MCP server {where.label} can't be offered: its schema "
            f"{wrong}; name the others, as in '#TOOL,TOOL' at the end"
        )

    name = function_name(tool.name)

    async def target(**arguments: Any) -> Any:
        from callsmith_mcp.results import read_content, read_result

        result = await connection.call(tool.name, arguments, name)
        if result.is_error:
            raise RuntimeError(read_content(result) or "the tool failed and does not say why")
        return read_result(result, tool)

    return Function(
        name=name,
        description=tool.description or tool.title or f"The tool {tool.name}.",
        parameters=tool.input_schema,
        target=target,
        timeout=CALL_SECONDS,
        keeps_time=True,
    )


def function_name(tool: str) -> str:
    """A tool's name as a model can write it in a call: letters, digits and _, at most 64."""
    name = re.sub(r"\W", "_", tool)[:64]
    return name if re.match(r"[^\W\d]", name) else f"_{name[:63]}"


def schema_fault(schema: Mapping[str, Any]) -> str:
    """Why a call can't be held against the schema; empty if it can. Nothing is fetched."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"is not valid (2020-12): {' '.join(error.message.split())[:200]}"
    if schema.get("type", "object") != "object":
        return "is not one of an object"
    resource = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource(resource.id() or "", resource).resolver(resource.id() or "")
    for ref in _refs(schema):
        try:
            resolver.lookup(ref)
        except Unresolvable:
            return f"refers to {ref!r}, which is not in it"
    return ""


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            else:
                yield from _refs(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _refs(value)
