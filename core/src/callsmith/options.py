"""Options of tasks, backends and executors, held against what makes them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from callsmith.errors import DataError

if TYPE_CHECKING:
    from callsmith.chain import JSON

TYPES: Mapping[str, tuple[Any, str]] = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "str": (str, "text"),
    "Path": ((str, os.PathLike), "a path"),
    "bool": (bool, "true or false"),
    "None": (type(None), ""),
}
"""What an option's annotation takes, and how that is said."""


def check_options(
    label: str,
    factory: Callable[..., Any],
    options: Mapping[str, JSON],
    positional: int,
    given: Mapping[str, Any],
) -> None:
    """Refuse options that the factory does not have, or not so, and say which it needs."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())[positional:]
    except ValueError:  # some callables written in C don't say what they take
        return
    named = {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    names = [name for name in named if name not in given]
    for option, value in options.items():
        if option not in names and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            known = nearest_of(option, names) if names else "it has none"
            raise DataError(f"{label} has no option {option!r}; {known}")
        if option in names and (wanted := _wanted(value, named[option].annotation)):
            raise DataError(f"option {option!r} of {label} is {wanted}, not {value!r}")
    for name in names:
        if named[name].default is inspect.Parameter.empty and name not in options:
            raise DataError(f"{label} needs the option {name!r}")


def _wanted(value: Any, annotation: Any) -> str:
    """What the annotation wants instead of the value; empty if it fits, or is another kind."""
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    names = [name.strip() for name in written.split("|")]
    if not TYPES.keys() >= set(names):
        return ""
    for name in names:
        if isinstance(value, TYPES[name][0]) and (name == "bool" or not isinstance(value, bool)):
            return ""
    return " or ".join(filter(None, (TYPES[name][1] for name in names)))


def nearest_of(name: str, names: list[str]) -> str:
    """What to say of a name that isn't among ``names``: those that are like it, else all."""
    import difflib

    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {', '.join(names)}" if names else "no plugin provides any"
