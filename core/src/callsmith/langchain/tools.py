"""LangChain's tools as functions, and functions as tools."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from callsmith.errors import PluginError
from callsmith.functions import Context, Function
from callsmith.plugins import load_registry
from callsmith.signatures import without_titles

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool, StructuredTool

    from callsmith.tasks import FunctionRef


def from_tool(tool: BaseTool) -> Function:
    """A LangChain tool as a function. It runs in the loop, under a time limit if it is awaited."""
    if not tool.description:
        raise PluginError(f"the LangChain tool {tool.name} has no description: a model needs one")
    schema: dict[str, Any] = tool.tool_call_schema  # type: ignore[assignment]
    if not isinstance(schema, dict):
        schema = schema.model_json_schema()
    schema = without_titles({key: schema[key] for key in schema if key != "description"})

    async def target(**arguments: Any) -> Any:
        return await tool.ainvoke(arguments)

    return Function(
        name=re.sub(r"\W", "_", tool.name),
        description=tool.description,
        parameters={"properties": {}, "additionalProperties": False} | schema,
        target=target,
    )


def as_tool(function: Function) -> StructuredTool:
    """A function as a LangChain tool. Its time limit and worker process stay behind."""
    from langchain_core.tools import StructuredTool, ToolException

    def run(**arguments: Any) -> Any:
        if wrong := function.check(arguments):
            raise ToolException(f"{wrong}. Usage: {function.signature}")
        return function.invoke(arguments, Context())

    async def wait(**arguments: Any) -> Any:
        return await run(**arguments)

    return StructuredTool.from_function(
        func=None if inspect.iscoroutinefunction(function.target) else run,
        coroutine=wait if inspect.iscoroutinefunction(function.target) else None,
        name=function.name,
        description=function.description,
        args_schema=dict(function.parameters),
    )


def as_tools(*functions: FunctionRef) -> list[StructuredTool]:
    """Functions as LangChain tools: ``as_tools("math.add")``, all of a pack ``as_tools("math.*")``.

    Raises PluginError for what there is not.
    """
    return [as_tool(function) for function in load_registry().functions(functions).values()]
