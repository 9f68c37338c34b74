"""What Python's types are to JSON: which need converting, and what to write instead of the others.

`signatures` makes the schema of a function's parameters with this.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from functools import reduce
from operator import or_
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    get_args,
    get_origin,
    is_typeddict,
)

from callsmith.chain import JSON
from callsmith.errors import PluginError

FORMS = {
    "datetime_": "YYYY-MM-DDTHH:MM:SS",
    "date_": "YYYY-MM-DD",
    "time_delta_": "P1DT2H30M",
    "time_": "HH:MM:SS",
}
"""How to write what pydantic calls wrong, by the beginning of its name for the mistake."""


_MOMENTS = (date, datetime, time)


class BadArgument(Exception):
    """An argument fits the schema and is none of its type all the same: no date, say."""


@contextmanager
def explained(what: str, annotation: Any = None) -> Iterator[None]:
    """Say of a type that JSON has nothing for what to write instead."""
    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import PydanticJsonSchemaWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PydanticJsonSchemaWarning)
            yield
    except (PydanticUserError, PydanticJsonSchemaWarning, ValueError) as error:
        raise PluginError(
            f"{what} can't be described as JSON: {_instead(annotation, str(error))}"
        ) from error


_INSTEAD = {
    "Iterator": "list",
    "Generator": "list",
    "range": "list[int]",
    "ndarray": "list[float]",
    "DataFrame": "list[dict[str, float]]",
    "LiteralString": "str",
    "Callable": "Literal['min', 'max'] or the like, and look the name up,",
    "type": "Literal['int', 'float'] or the like, and look the name up,",
}


def _instead(annotation: Any, reason: str) -> str:
    """What to write in place of a type that can't be."""
    name = getattr(getattr(annotation, "__origin__", annotation), "__name__", str(annotation))
    if name in _INSTEAD:
        return f"write {_INSTEAD[name]} instead of {name}"
    if isinstance(annotation, type) and annotation.__module__ != "builtins":
        return f"make {name} a dataclass or a pydantic model"
    reason = reason.splitlines()[0].partition(". ")[0].rstrip(".")
    return (
        f"{reason}; use numbers, str, bool, lists, dicts, tuples, dates, Literal, Enum, "
        "TypedDict, dataclasses or pydantic models"
    )


def note(annotation: Any) -> str:
    """The text in ``Annotated[int, "how many"]``."""
    return next((x for x in getattr(annotation, "__metadata__", ()) if isinstance(x, str)), "")


def portable(annotation: Any) -> Any:
    """The type as pydantic should read it: ``typing.TypedDict`` before Python 3.12, and a date or
    time that is no number of seconds."""
    if annotation in _MOMENTS:
        return _dated(annotation)
    if is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _typed_dict(annotation)
    arguments = getattr(annotation, "__args__", ())
    changed = tuple(portable(argument) for argument in arguments)
    if changed == arguments:
        return annotation
    if hasattr(annotation, "__metadata__"):
        return Annotated[(changed[0], *annotation.__metadata__)]
    if hasattr(annotation, "copy_with"):  # typing.List and friends
        return annotation.copy_with(changed)
    if hasattr(annotation, "__origin__"):
        return annotation.__origin__[changed]
    return reduce(or_, changed)


def _typed_dict(found: Any) -> Any:
    """The same TypedDict made with typing_extensions, its keys as required as they were."""
    from typing_extensions import TypedDict, get_type_hints

    fields = {}
    for name, hint in get_type_hints(found, include_extras=True).items():
        needed, origin = name in found.__required_keys__, get_origin(hint)
        if str(origin) in ("typing.Required", "typing.NotRequired"):
            needed, hint = str(origin) == "typing.Required", get_args(hint)[0]
        fields[name] = (Required if needed else NotRequired)[portable(hint)]
    return TypedDict(found.__name__, fields)  # type: ignore[operator]


def _dated(moment: Any) -> Any:
    """A date or time as people write it: pydantic takes the text 86400 for a day of 1970."""
    from pydantic import BeforeValidator
    from pydantic_core import PydanticCustomError

    def written(value: Any) -> Any:
        if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
            raise PydanticCustomError(f"{moment.__name__}_number", "a number can't be read")
        return value

    return Annotated[moment, BeforeValidator(written)]


def is_plain(annotation: Any) -> bool:
    """Whether JSON values can be passed as they are. A float may stay an int: that is exact.

    An int may not: to JSON Schema 3.0 is a whole number, to Python it is none.
    """
    if annotation in (float, str, bool, list, dict, None, type(None), Any):
        return True
    arguments: Any = getattr(annotation, "__args__", ())
    if hasattr(annotation, "__metadata__"):
        return is_plain(annotation.__origin__)
    origin: Any = getattr(annotation, "__origin__", type(annotation))
    if origin is Literal:
        return True
    if origin is dict and arguments[0] is not str:
        return False
    return (origin in (list, dict) or "Union" in str(origin)) and all(map(is_plain, arguments))


def convert(adapter: Any, value: JSON, name: str) -> Any:
    """The value as the type of its parameter. Raises BadArgument, in words for the model."""
    try:
        return adapter.validate_python(value)
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (name, *first["loc"])))
        reason = str(first["msg"]).removeprefix("Value error, ")
        form = next((form for kind, form in FORMS.items() if first["type"].startswith(kind)), "")
        hint = f"; write it as {form}" if form else ""
        raise BadArgument(f"{where!r} is wrong: {reason[:1].lower()}{reason[1:]}{hint}") from error


def jsonable(adapter: Any, value: Any) -> Any:
    """What a function gave, of a type that JSON lacks, as the JSON value that stands for it."""
    if inspect.isawaitable(value):
        return _jsonable_later(adapter, value)
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)  # the order of a set differs from process to process
    return adapter.dump_python(value, mode="json", warnings=False)


async def _jsonable_later(adapter: Any, value: Awaitable[Any]) -> Any:
    return jsonable(adapter, await value)
