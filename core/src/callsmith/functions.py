"""A typed, documented Python function becomes a Function that a model may call.

Types and docstring give the JSON Schema (2020-12) and the help text (`signatures`); examples are
executed, never typed in. Running a model's call, with its faults and limits, is `calls`'.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from callsmith.annotations import convert, jsonable
from callsmith.chain import JSON, Call, Problem, digest
from callsmith.errors import PluginError, describe
from callsmith.signatures import describe_type, read_docstring, read_parameters, read_returns
from callsmith.values import write_json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from langchain_core.tools import BaseTool
    from langchain_core.tools.base import BaseToolkit

Role: TypeAlias = Literal["solve", "control", "verify"]

SEPARABLE = {
    "$defs",
    "additionalProperties",
    "description",
    "properties",
    "required",
    "title",
    "type",
}
"""Keywords of a schema of arguments that say what names there are, and nothing about values."""

TIMEOUT = 5.0
"""Seconds that a call may take unless its function says otherwise."""


@dataclass(slots=True)
class Context:
    """What a function may know of the chain it is called from.

    A parameter annotated ``Context`` is hidden from the model. ``problem`` is without its gold
    answer; ``state`` is a JSON value that belongs to the chain: set it to keep it.
    """

    problem: Problem = field(default_factory=lambda: Problem(""))
    state: JSON = None


@dataclass(frozen=True, slots=True)
class Example:
    """Arguments to show in the help, with the problem and state that a ``Context`` would hold."""

    arguments: Mapping[str, JSON]
    problem: Problem = field(default_factory=lambda: Problem(""))
    state: JSON = None


@dataclass(frozen=True)
class Function:
    """Something a model may call. Calling it from Python calls the function it was made from.

    ``pack`` is the name of its function pack, ``parameters`` the JSON Schema of its arguments,
    ``timeout`` seconds, ``memory_mb`` MiB (Linux only), ``source`` a hash of the plain file that it
    comes from, if it does. One that ``keeps_time`` is async and holds itself to its limit, since
    the time for which its server is away does not count.
    """

    name: str
    description: str
    parameters: Mapping[str, JSON]
    target: Callable[..., Any]
    examples: tuple[Example, ...] = ()
    role: Role = "solve"
    inline: bool = False
    timeout: float = TIMEOUT
    memory_mb: int | None = 1024
    returns: str = "any"
    context_parameter: str = ""
    adapters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    result_adapter: Any = field(default=None, repr=False)
    pack: str = ""
    source: str = ""
    keeps_time: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.target(*args, **kwargs)

    @property
    def qualified_name(self) -> str:
        return f"{self.pack}.{self.name}" if self.pack else self.name

    @cached_property
    def validator(self) -> Validator:
        """Built once: building one costs a hundred times what using it costs."""
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.parameters)

    @cached_property
    def _apart(self) -> Mapping[str, Validator]:
        """A validator for each argument, where the schema asks nothing of them together.

        Going through them takes half the time of the whole schema, most of which goes into making
        these anew at each call.
        """
        if not self.parameters.keys() <= SEPARABLE:
            return {}
        properties = self.parameters.get("properties", {})
        return {name: self.validator.evolve(schema=s) for name, s in properties.items()}

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.target)

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.parameters.get("properties", {})
        # True and False are schemas as well.
        return {k: v if isinstance(v, Mapping) else {} for k, v in properties.items()}

    @property
    def required(self) -> Sequence[str]:
        required: Sequence[str] = self.parameters.get("required", ())
        return required

    @cached_property
    def signature(self) -> str:
        """``divide(a: number, b: number) -> number``"""
        parts = []
        for name, schema in self.properties.items():
            part = f"{name}: {describe_type(schema, self.parameters)}"
            if name not in self.required:
                part += f" = {schema['default']!r}" if "default" in schema else " = None"
            parts.append(part)
        returns = f" -> {self.returns}" if self.returns != "any" else ""
        return f"{self.name}({', '.join(parts)}){returns}"

    @cached_property
    def results(self) -> tuple[JSON, ...]:
        """What the examples give, one for each. Raises PluginError if one fails."""
        values = []
        for example in self.examples:
            context = Context(example.problem, copy.deepcopy(example.state))
            problem = self.check(example.arguments)
            try:
                if problem:
                    raise ValueError(problem)
                value = self.invoke(example.arguments, context)
                if inspect.isawaitable(value):
                    value = _finish(value)
                values.append(json.loads(json.dumps(value, allow_nan=False)))
            except Exception as error:
                call = format_call(Call(self.name, example.arguments), self)
                raise PluginError(
                    f"the example {call} of {self.qualified_name} fails: {describe(error)}"
                ) from error
        return tuple(values)

    @cached_property
    def help(self) -> str:
        """Signature, description, parameters that have one, and the examples with results."""
        return self.help_with(format_call)

    def help_with(self, write: Callable[[Call, Function], str]) -> str:
        """The help, with the examples' calls in another way of writing."""
        lines = [self.signature, *(f"    {line}" for line in self.description.splitlines())]
        for name, schema in self.properties.items():
            if schema.get("description"):
                lines.append(f"    {name}: {schema['description']}")
        lines += [f"    {line}" for line in self._shown_examples(write)]
        return "\n".join(lines)

    @cached_property
    def schema(self) -> Mapping[str, JSON]:
        """The function as servers want it described (OpenAI's tool object), examples included."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": "\n".join([self.description, *self._shown_examples(format_call)]),
                "parameters": self.parameters,
            },
        }

    def _shown_examples(self, write: Callable[[Call, Function], str]) -> list[str]:
        lines = []
        for example, value in zip(self.examples, self.results, strict=True):
            call = write(Call(self.name, example.arguments), self)
            shown = f" -> {render_value(value)}" if self.role != "control" else ""
            lines.append(f"Example: {call}{shown}")
        return lines

    def check(self, arguments: Mapping[str, JSON]) -> str:
        """What is wrong with the arguments, in words for the model; empty if nothing is."""
        try:
            apart = self._apart
            if (
                apart
                and apart.keys() == arguments.keys()
                and all(apart[name].is_valid(value) for name, value in arguments.items())
            ):
                return ""
            wrong = next(self.validator.iter_errors(arguments), None)
        except OverflowError as error:  # a multipleOf that no float can be held against
            return f"{self.name} has a number that is too large: {error}"
        if wrong is None:
            return ""
        unknown = [name for name in arguments if name not in self.properties]
        if unknown and self.parameters.get("additionalProperties") is False:
            return f"{self.name} has no argument {unknown[0]!r}"
        missing = [name for name in self.required if name not in arguments]
        if missing:
            return f"{self.name} needs {' and '.join(repr(name) for name in missing)}"
        where = ".".join(str(part) for part in wrong.absolute_path)
        whose = f"{self.name}'s {where!r} is" if where else f"{self.name}'s arguments are"
        return f"{whose} wrong: {wrong.message[:200]}"

    def invoke(self, arguments: Mapping[str, JSON], context: Context) -> Any:
        """Call the target with validated arguments, in this process and without limits.

        Raises BadArgument for one that fits the schema and not the parameter's type.
        """
        keywords = dict(arguments)
        for name, adapter in self.adapters.items():
            if name in keywords:
                keywords[name] = convert(adapter, keywords[name], name)
        if self.context_parameter:
            keywords[self.context_parameter] = context
        value = self.target(**keywords)
        return jsonable(self.result_adapter, value) if self.result_adapter else value


@dataclass(frozen=True)
class FunctionPack:
    """The functions that one plugin provides under one name.

    Plain typed functions, LangChain tools and whole toolkits may be among them. ``close`` lets go
    of what a pack that was opened by an address holds.
    """

    description: str
    functions: Sequence[Callable[..., Any] | BaseTool | BaseToolkit]
    close: Callable[[], None] = field(default=lambda: None, compare=False)

    def named(self, name: str) -> dict[str, Function]:
        """The functions by name, each knowing that it belongs to pack ``name``.

        Raises PluginError if two go by one name.
        """
        named: dict[str, Function] = {}
        for function in (one for part in self.functions for one in as_functions(part)):
            if function.name in named:
                raise PluginError(
                    f"function pack {name!r} has two functions called {function.name}"
                )
            named[function.name] = replace(function, pack=name)
        return named


def as_functions(part: object) -> list[Function]:
    """A part of a pack as functions: a toolkit may have many.

    Raises PluginError as `as_function` does, and for a toolkit that gives no tools.
    """
    if inspect.isclass(part) or not hasattr(part, "get_tools"):
        return [as_function(part)]
    try:
        tools = part.get_tools()
    except Exception as error:
        name = type(part).__name__
        raise PluginError(f"the toolkit {name} gives no tools: {describe(error)}") from error
    return [as_function(tool) for tool in tools]


@dataclass(frozen=True)
class AddressedPack:
    """Function packs that an address opens: ``-f NAME:ADDRESS`` takes all of ``open(ADDRESS)``.

    ``description`` says what addresses there are. ``open`` may raise PluginError.
    """

    description: str
    open: Callable[[str], FunctionPack]


def as_function(part: object) -> Function:
    """A Function as it is, and one made of a typed Python function or a LangChain tool.

    Raises PluginError for anything else.
    """
    if isinstance(part, Function):
        return part
    if inspect.isfunction(part):
        return function(part)
    if hasattr(part, "tool_call_schema"):
        from callsmith.langchain import from_tool

        return from_tool(part)  # type: ignore[arg-type]
    raise PluginError(
        f"{part!r:.80} is no function: give a typed Python function or a LangChain tool"
    )


@overload
def function(target: Callable[..., Any], /) -> Function: ...


@overload
def function(
    *,
    examples: Iterable[Mapping[str, JSON] | Example] = (),
    role: Role = "solve",
    inline: bool = False,
    timeout: float = TIMEOUT,
    memory_mb: int | None = 1024,
    name: str = "",
) -> Callable[[Callable[..., Any]], Function]: ...


def function(
    target: Callable[..., Any] | None = None,
    /,
    *,
    examples: Iterable[Mapping[str, JSON] | Example] = (),
    role: Role = "solve",
    inline: bool = False,
    timeout: float = TIMEOUT,
    memory_mb: int | None = 1024,
    name: str = "",
) -> Function | Callable[[Callable[..., Any]], Function]:
    """Make a Function of a typed, documented Python function.

    ``examples`` are arguments that the help shows with the results they really give. ``inline``
    runs the function in the loop's own process: only for what is cheap and bounded by
    construction, since nothing can stop it there. Otherwise it runs in a worker process that is
    killed after ``timeout`` seconds or past ``memory_mb`` MiB. ``name`` is what the model sees,
    if not the function's own name.

    Raises PluginError for a parameter without a usable type, or a function without docstring.
    """

    def make(target: Callable[..., Any]) -> Function:
        label = name or target.__name__
        if not re.fullmatch(r"[A-Za-z_]\w{0,63}", label):
            raise PluginError(f"{label!r} is no name for a function: letters, digits and _ only")
        description, documented = read_docstring(target)
        if not description:
            raise PluginError(f"function {label} has no docstring: a model needs to know it")
        parameters, adapters, context_parameter = read_parameters(
            target, label, documented, Context
        )
        returns, result_adapter = read_returns(target, label)
        return Function(
            name=label,
            description=description,
            parameters=parameters,
            target=target,
            examples=tuple(e if isinstance(e, Example) else Example(e) for e in examples),
            role=role,
            inline=inline,
            timeout=timeout,
            memory_mb=memory_mb,
            returns=returns,
            context_parameter=context_parameter,
            adapters=adapters,
            result_adapter=result_adapter,
        )

    return make(target) if target is not None else make


def format_call(call: Call, function: Function | None = None) -> str:
    """A call as text, ``divide(a=48, b=2)``, its arguments in the function's order."""
    inner = ", ".join(f"{name}={value!r}" for name, value in _ordered(call, function).items())
    return f"{call.name}({inner})"


def format_json_call(call: Call, function: Function | None = None) -> str:
    """A call as the dialect ``json`` writes it, its arguments in the function's order."""
    written = {"call": {"name": call.name, "arguments": _ordered(call, function)}}
    return write_json(written)


def _ordered(call: Call, function: Function | None) -> dict[str, JSON]:
    order = list(function.properties) if function else []
    names = sorted(
        call.arguments, key=lambda name: order.index(name) if name in order else len(order)
    )
    return {name: call.arguments[name] for name in names}


def render_value(value: JSON) -> str:
    """A result as a model reads it: strings bare, everything else as JSON."""
    if type(value) is int or type(value) is float:
        return repr(value)  # what JSON makes of it, only sooner
    return value if isinstance(value, str) else write_json(value)


def functions_hash(functions: Iterable[Function]) -> str:
    """16 hex digits of the functions' names, descriptions and parameters, in any order.

    Of those from plain files also of what the file says: they have no version to go by.
    """
    return digest(
        {
            f.qualified_name: [f.description, f.parameters, *filter(None, [f.source])]
            for f in functions
        }
    )


def _finish(awaitable: Any) -> Any:
    """Wait for an example of an async function, whether or not a loop runs in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, wait()).result()
