"""Reading a typed, documented Python function: JSON Schema, help text, what needs converting."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from callsmith.annotations import explained, is_plain, note, portable
from callsmith.chain import JSON
from callsmith.errors import PluginError
from callsmith.values import plain


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

    fields: dict[str, Any] = {}
    adapters: dict[str, Any] = {}
    context_parameter = ""
    for name, parameter in _signature(target, label).parameters.items():
        if parameter.annotation is context:
            context_parameter = name
            continue
        _check_parameter(parameter, label, context)
        annotation = portable(parameter.annotation)
        described: dict[str, Any] = {"alias": name}
        if described_as := documented.get(name) or note(annotation):
            described["description"] = described_as
        if parameter.default is not parameter.empty:
            described["default"] = parameter.default
        # By alias: a model's fields can't be called whatever a parameter can (copy, schema, _x).
        fields[f"p{len(fields)}"] = (annotation, Field(**described))
        if not is_plain(annotation):
            with explained(f"{label}'s parameter {name!r}", annotation):
                adapters[name] = TypeAdapter(annotation)
                adapters[name].json_schema()
    with explained(f"{label}'s parameters"):
        model = create_model(label, __config__={"extra": "forbid"}, **fields)
        schema: dict[str, JSON] = plain(without_titles(model.model_json_schema()))
    schema.setdefault("properties", {})
    return schema, adapters, context_parameter


def _signature(target: Callable[..., Any], label: str) -> inspect.Signature:
    try:
        return inspect.signature(target, eval_str=True)
    except NameError as error:
        raise PluginError(
            f"{label}'s types can't be read: {error}; import it where {label} is defined, "
            "not under TYPE_CHECKING alone"
        ) from error


def _check_parameter(parameter: inspect.Parameter, label: str, context: type) -> None:
    name, annotation = parameter.name, parameter.annotation
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise PluginError(
            f"{label}'s parameter {parameter} has no fixed shape: name each one, or take a list"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise PluginError(
            f"{label}'s parameter {name!r} can't be given by its name: take the / out"
        )
    if annotation is parameter.empty:
        raise PluginError(f"{label}'s parameter {name!r} has no type: write {name}: float, say")
    if context in get_args(annotation):
        raise PluginError(f"{label}'s parameter {name!r} is a Context: write {name}: Context")


def without_titles(schema: Any, inside: str = "") -> Any:
    """pydantic's titles repeat the names; prompts are paid by the token."""
    if isinstance(schema, list):
        return [without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    named = inside in ("properties", "$defs")
    return {
        key: without_titles(value, "" if named else key)
        for key, value in schema.items()
        if named or key != "title" or not isinstance(value, str)
    }


def read_returns(target: Callable[..., Any], label: str) -> tuple[str, Any]:
    """The return type in a few words, ``any`` without one, and an adapter if JSON lacks it."""
    from pydantic import TypeAdapter

    annotation = portable(_signature(target, label).return_annotation)
    if annotation in (inspect.Signature.empty, Any):
        return "any", None
    with explained(f"what {label} returns", annotation):
        adapter = TypeAdapter(annotation)
        schema = adapter.json_schema(mode="serialization")
    plain_already = annotation is int or is_plain(annotation)
    return describe_type(schema, schema), None if plain_already else adapter


def describe_type(
    schema: Mapping[str, Any] | bool, root: Mapping[str, Any], depth: int = 2, refs: int = 8
) -> str:
    """A JSON Schema in a few words: ``number``, ``list of string``, ``'a' or 'b'``.

    Objects within objects are shown ``depth`` deep, and ``refs`` references are followed: a type
    may hold itself.
    """
    if not isinstance(schema, Mapping):
        return "any"
    if "$ref" in schema:
        found = _pointed_at(schema["$ref"], root)
        return describe_type(found, root, depth, refs - 1) if refs else "any"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(repr(value) for value in values)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(describe_type(option, root, depth, refs) for option in options)
    kind = schema.get("type", "any")
    if "prefixItems" in schema:
        parts = [describe_type(part, root, depth, refs) for part in schema["prefixItems"]]
        return f"[{', '.join(parts)}]"
    if kind == "string" and "format" in schema:
        return f"string ({schema['format']})"
    if kind == "array":
        return f"list of {describe_type(schema.get('items', {}), root, depth, refs)}"
    if kind == "object" and depth and "properties" in schema:
        inner = (
            f"{k}: {describe_type(v, root, depth - 1, refs)}"
            for k, v in schema["properties"].items()
        )
        return "{" + ", ".join(inner) + "}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _pointed_at(ref: str, root: Mapping[str, Any]) -> Mapping[str, Any] | bool:
    """What ``#/$defs/Point`` is; anything, if it is not found by its path."""
    found: Any = root
    for part in ref.removeprefix("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping | bool) and found is not root else {}
