"""Reading a typed, documented Python function: JSON Schema, help text, what needs converting."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from callsmith.chain import JSON
from callsmith.errors import PluginError


def read_docstring(target: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description, and what a Google-style ``Args:`` section says of each parameter."""
    body, _, rest = (inspect.getdoc(target) or "").partition("\nArgs:\n")
    rest = re.split(r"\n(?=\S)", rest)[0]
    found = re.findall(r"^ +(\w+)(?: \([^)]*\))?: (.*(?:\n {6,}.*)*)", rest, flags=re.MULTILINE)
    return body.strip(), {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def read_parameters(
    target: Callable[..., Any], label: str, documented: Mapping[str, str], context: type
) -> tuple[dict[str, JSON], dict[str, Any], str]:
    """The JSON Schema of the parameters, adapters for those that JSON can't give as they are, and
    the name of the parameter annotated ``context``, which is hidden from the schema.

    Raises PluginError for a parameter without a usable type.
    """
    from pydantic import Field, TypeAdapter, create_model
    from pydantic.errors import PydanticUserError

    fields: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    context_parameter = ""
    signature = inspect.signature(target, eval_str=True)
    for name, parameter in signature.parameters.items():
        if parameter.annotation is context:
            context_parameter = name
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(
                f"{label}'s parameter {parameter} has no fixed shape: name each one, or take a list"
            )
        if parameter.annotation is parameter.empty:
            raise PluginError(f"{label}'s parameter {name!r} has no type: write {name}: float, say")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (parameter.annotation, Field(default, description=documented.get(name)))
        if not _is_plain(parameter.annotation):
            adapters[name] = TypeAdapter(parameter.annotation)
    try:
        schema = create_model(label, __config__={"extra": "forbid"}, **fields).model_json_schema()
    except PydanticUserError as error:
        raise PluginError(
            f"{label}'s parameters can't be described as JSON: {str(error).splitlines()[0]}"
        ) from error
    untitled: dict[str, JSON] = _without_titles(schema)
    untitled.setdefault("properties", {})
    return untitled, adapters, context_parameter


def _is_plain(annotation: Any) -> bool:
    """Whether JSON values can be passed as they are. A float may stay an int: that is exact."""
    if annotation in (int, float, str, bool, list, dict, None, type(None), Any):
        return True
    arguments = getattr(annotation, "__args__", ())
    if getattr(annotation, "__metadata__", None):
        return _is_plain(annotation.__origin__)
    if getattr(annotation, "__origin__", None) is Literal:
        return True
    origin = getattr(annotation, "__origin__", type(annotation))
    plain_origin = origin in (list, dict) or "Union" in str(origin)
    return plain_origin and all(_is_plain(argument) for argument in arguments)


def _without_titles(schema: Any, inside: str = "") -> Any:
    """pydantic's titles repeat the names; prompts are paid by the token."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    named = inside in ("properties", "$defs")
    return {
        key: _without_titles(value, "" if named else key)
        for key, value in schema.items()
        if named or key != "title" or not isinstance(value, str)
    }


def read_returns(target: Callable[..., Any]) -> str:
    """The return type in a few words, ``any`` if it says none."""
    from pydantic import TypeAdapter

    annotation = inspect.signature(target, eval_str=True).return_annotation
    if annotation in (inspect.Signature.empty, Any):
        return "any"
    schema = TypeAdapter(annotation).json_schema()
    return describe_type(schema, schema)


def describe_type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words: ``number``, ``list of string``, ``'a' or 'b'``."""
    if "$ref" in schema:
        return describe_type(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(repr(value) for value in values)
    if "anyOf" in schema:
        return " or ".join(describe_type(option, root) for option in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {describe_type(schema.get('items', {}), root)}"
    if kind == "object" and "properties" in schema:
        inner = (f"{k}: {describe_type(v, root)}" for k, v in schema["properties"].items())
        return "{" + ", ".join(inner) + "}"
    return str(kind)
