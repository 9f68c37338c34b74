"""What ``--constrain`` asks of a server: a JSON Schema, or a grammar, of exactly one valid call.

Both are built from the functions' own schemas, and hold a model to the types in them: names of
functions and arguments, what kind of value each is, what is listed (``enum``). They leave out what
servers differ in: bounds of numbers, ``pattern``, ``format``, lengths of texts and of long lists,
names of keys, whatever depends on another value. For those a model is told its fault, as always.

They admit a little less than the schemas. An object that declares properties has no others, and
has them in the schema's order; in text a whole number has at most 40 digits, one with a point 24
after it, and none reaches 1e300, so that no model writes digits for ever.

Every server takes what comes out, but for OpenAI's strict mode, which has no word for objects with
any keys (``dict[str, float]``), nor for what can be left out and has no default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from callsmith.backends import Constraint
from callsmith.chain import JSON, Dialect
from callsmith.errors import PluginError, Rejected
from callsmith.functions import Function
from callsmith.gbnf import write_grammar

LONG = 64
"""Items up to which the ``minItems`` and ``maxItems`` of a list are held to: they cost rules."""


def constraint(functions: Mapping[str, Function], dialect: Dialect) -> Constraint:
    """What holds a turn to one call of one of these functions.

    In the dialect json a schema of ``{"call": {"name": …, "arguments": {…}}}``: OpenAI takes no
    choice at the root, hence the outer object. In the dialect text a grammar of ``name(arg=value)``
    in GBNF. Raises Rejected for native, where calls are no text, and PluginError for a function
    whose schema refers to what is not in it.
    """
    if dialect == "json":
        return Constraint(schema=_schema(functions))
    if dialect == "text":
        types = _Types(complete=False)
        arguments = {name: types.arguments(function) for name, function in functions.items()}
        return Constraint(grammar=write_grammar(arguments, types.defs))
    raise Rejected("native calls can't be constrained: use --dialect json or --dialect text")


def _schema(functions: Mapping[str, Function]) -> dict[str, Any]:
    types = _Types(complete=True)
    calls = [
        _closed(
            {"name": {"type": "string", "enum": [name]}, "arguments": types.arguments(function)}
        )
        for name, function in functions.items()
    ]
    schema = _closed({"call": _one_of(calls)})
    return schema | {"$defs": types.defs} if types.defs else schema


# ---- the types in functions' schemas ------------------------------------------------------------

_HELD = (
    *("type", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("minItems", "maxItems", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"),
)
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_SHAPES = {"properties": "object", "additionalProperties": "object", "required": "object"}
_SHAPES |= {"items": "array", "prefixItems": "array"}


class _Types:
    """Reads schemas down to a few keywords that all servers know.

    That is one ``type``, ``properties``, ``required``, ``additionalProperties``, ``items``,
    ``prefixItems``, ``minItems``, ``maxItems``, ``enum``, ``anyOf``, and ``$ref`` to ``defs``,
    where what the functions refer to is collected, apart for each. With ``complete``, what can be
    left out is required if its default can be written instead: that says the same, and OpenAI
    lets nothing be left out.
    """

    def __init__(self, complete: bool) -> None:
        self.complete = complete
        self.defs: dict[str, Any] = {}
        self._names: dict[tuple[str, str], str] = {}

    def arguments(self, function: Function) -> dict[str, Any]:
        """The schema of all arguments of a function together."""
        return self._object({**function.parameters, "additionalProperties": False}, function)

    def _read(self, schema: JSON, function: Function) -> dict[str, Any]:
        if not isinstance(schema, Mapping):  # true: anything
            return self._any()
        held = {key: schema[key] for key in _HELD if key in schema}
        if "$ref" in held:
            return self._refer(held["$ref"], function)
        if "allOf" in held:
            parts = held.pop("allOf")
            if len(parts) == 1:
                return self._read(_joined(held, parts[0], function), function)
            for part in parts:
                held = _merge(held, _follow(part, function))
            return self._read(held, function)
        if options := held.pop("anyOf", None) or held.pop("oneOf", None):
            # What stands beside the options holds for each of them.
            joined = [_joined(held, option, function) for option in options]
            return _one_of(self._read(option, function) for option in joined)
        if "enum" in held or "const" in held:
            return _one_of(_listed(held.get("enum", [held.get("const")])))
        kinds = held.get("type") or [_SHAPES[key] for key in _SHAPES if key in held][:1]
        if isinstance(kinds, list):
            options = [self._read({**held, "type": kind}, function) for kind in kinds]
            return _one_of(options) if options else self._any()
        if kinds == "object":
            return self._object(held, function)
        return self._array(held, function) if kinds == "array" else {"type": kinds}

    def _object(self, schema: Mapping[str, Any], function: Function) -> dict[str, Any]:
        required = schema.get("required", ())
        parts = {**schema.get("properties", {})}
        parts |= {name: True for name in required if name not in parts}
        others = schema.get("additionalProperties", True)
        if not parts and others is not False:
            return {"type": "object", "additionalProperties": self._read(others, function)}
        needed = [
            name
            for name, part in parts.items()
            if name in required or (self.complete and _default_is_valid(part, function))
        ]
        return _closed({name: self._read(parts[name], function) for name in parts}, needed)

    def _array(self, schema: Mapping[str, Any], function: Function) -> dict[str, Any]:
        if prefix := schema.get("prefixItems"):
            parts = [self._read(part, function) for part in prefix]
            alike = all(part == parts[0] for part in parts)
            items = {"items": parts[0]} if alike else {"prefixItems": parts}
            return {"type": "array", **items, "minItems": len(parts), "maxItems": len(parts)}
        bounds = {key: schema[key] for key in ("minItems", "maxItems") if key in schema}
        items = {"items": self._read(schema.get("items", True), function)}
        return {"type": "array", **items, **{k: n for k, n in bounds.items() if n <= LONG}}

    def _refer(self, pointer: str, function: Function) -> dict[str, Any]:
        name = self._names.get((function.name, pointer), "")
        if not name:
            # No function's name has a hyphen, so that these are apart from each other's.
            label = re.sub(r"\W", "", pointer.rpartition("/")[2])
            name = f"{function.name}-{len(self._names)}-{label}"
            self._names[function.name, pointer] = name
            self.defs[name] = None  # keeps its place while what it refers to is read
            self.defs[name] = self._read(_resolve(pointer, function), function)
        return {"$ref": f"#/$defs/{name}"}

    def _any(self) -> dict[str, Any]:
        reference = {"$ref": "#/$defs/any"}
        scalars = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
        array = {"type": "array", "items": reference}
        self.defs["any"] = _one_of(
            [*scalars, array, {"type": "object", "additionalProperties": reference}]
        )
        return reference


def _closed(properties: Mapping[str, Any], required: Iterable[str] | None = None) -> dict[str, Any]:
    needed = list(properties if required is None else required)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": needed,
        "additionalProperties": False,
    }


def _one_of(options: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A choice, without choices inside it; the option itself if there is but one."""
    flat: list[dict[str, Any]] = []
    for option in options:
        flat += [one for one in option.get("anyOf", [option]) if one not in flat]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _listed(values: Sequence[JSON]) -> list[dict[str, Any]]:
    """The listed values, those of a type together: OpenAI wants the type said."""
    by_type: dict[str, list[JSON]] = {}
    for value in values:
        by_type.setdefault(_NAMES.get(type(value), ""), []).append(value)
    return [({"type": kind} if kind else {}) | {"enum": by_type[kind]} for kind in by_type]


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas in one, as far as types go; where they differ, the second's word is taken."""
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = [*one["required"], *other["required"]]
    return both


def _joined(held: Mapping[str, Any], other: JSON, function: Function) -> Mapping[str, Any]:
    """Both in one. A reference that says all that the first says stays one: it may be circular."""
    if isinstance(other, Mapping) and "$ref" in other and set(held) <= {"type"}:
        return other
    return _merge(held, _follow(other, function))


def _follow(schema: JSON, function: Function) -> Mapping[str, Any]:
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = _resolve(schema["$ref"], function)
    return schema if isinstance(schema, Mapping) else {}


def _resolve(pointer: str, function: Function) -> JSON:
    """What ``#/$defs/Name`` stands for in the function's schema."""
    found: Any = function.parameters
    try:
        for part in pointer.removeprefix("#").split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]
    except (KeyError, TypeError):
        found = None
    if found is None or not pointer.startswith("#"):
        raise PluginError(
            f"the schema of {function.qualified_name} refers to {pointer}, which is not in it"
        )
    return found


def _default_is_valid(schema: JSON, function: Function) -> bool:
    if not isinstance(schema, Mapping) or "default" not in schema:
        return False
    return function.validator.evolve(schema=schema).is_valid(schema["default"])
