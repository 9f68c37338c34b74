"""Functions as OpenAI's strict mode wants them, in which a model can write valid arguments only.

It wants every property required, ``additionalProperties`` false, and a type everywhere, and it
refuses keywords that it has no use for. Said otherwise: what has a default is asked for with the
default told; bounds that it can't hold a model to are left out, and held to when the function is
called, as always. A function that can't be said so (objects with any keys, what can be left out and
has no default, anything at all) is sent as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callsmith.chain import JSON

KEPT = frozenset(
    [
        "type",
        "description",
        "enum",
        "pattern",
        "format",
        "$ref",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    ]
)
READ = frozenset(
    [
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "anyOf",
        "oneOf",
        "const",
        "default",
        "$defs",
    ]
)
"""What is said in strict mode's own way."""

LEFT_OUT = frozenset(
    ["title", "examples", "discriminator", "deprecated", "minLength", "maxLength", "uniqueItems"]
)
FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)


class _Impossible(Exception):
    """Strict mode has no word for the schema."""


def strict_tool(tool: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The tool for strict mode, or as it is where that has no word for its parameters."""
    function: Any = tool["function"]
    parameters = function["parameters"]
    try:
        schema = _read({"type": "object", "properties": {}} | dict(parameters))
        if "$defs" in parameters:
            schema["$defs"] = {name: _read(part) for name, part in parameters["$defs"].items()}
    except _Impossible:
        return tool
    if schema.get("type") != "object":
        return tool
    return {**tool, "function": {**function, "parameters": schema, "strict": True}}


def _read(schema: JSON) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Impossible("anything, or nothing")
    if unknown := schema.keys() - KEPT - READ - LEFT_OUT:
        raise _Impossible(", ".join(unknown))
    made: dict[str, Any] = {key: value for key, value in schema.items() if key in KEPT}
    if made.get("format") not in FORMATS:
        made.pop("format", None)
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        made["anyOf"] = [_read(option) for option in options]
    if made.get("type") == "object":
        made |= _object(schema)
    if made.get("type") == "array":
        made["items"] = _items(schema)
    if not made.keys() & {"type", "enum", "anyOf", "$ref"}:
        raise _Impossible("any type")
    if "$ref" in made and len(made) > 1:  # beside a reference nothing may stand
        made["anyOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    if not properties and schema.get("additionalProperties", True) is not False:
        raise _Impossible("any keys")
    needed = schema.get("required", ())
    return {
        "properties": {name: _property(part, name in needed) for name, part in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(schema: JSON, needed: bool) -> dict[str, Any]:
    made = _read(schema)
    if needed:
        return made
    if not isinstance(schema, Mapping) or "default" not in schema:
        raise _Impossible("what can be left out")
    if "$ref" in made:
        made = {"anyOf": [made]}
    told = [made.get("description", ""), f"default {schema['default']!r}"]
    return made | {"description": "; ".join(filter(None, told))}


def _items(schema: Mapping[str, Any]) -> dict[str, Any]:
    parts = schema.get("prefixItems")
    if parts is None:
        return _read(schema.get("items", True))
    read = [_read(part) for part in parts]
    if not read or any(part != read[0] for part in read):
        raise _Impossible("items that differ")
    return read[0]
