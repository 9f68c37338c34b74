"""The bridge to LangChain: its chat models as backends, its tools as functions, ours as tools.

Nothing of LangChain runs inside the loop; it stays at the edges.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callsmith.backends import Backend, Capabilities, Completion, Request
from callsmith.chain import Call, Usage
from callsmith.errors import (
    BackendError,
    ContextOverflow,
    ModelFault,
    PluginError,
    RateLimited,
    Rejected,
    Unavailable,
    describe,
)
from callsmith.functions import Context, Function
from callsmith.signatures import without_titles

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool, StructuredTool

    from callsmith.tasks import Task


def open_backend(name: str, *, task: Task | None = None) -> Backend:
    """``langchain:package.module:factory``: what the factory gives is any ``BaseChatModel``."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise Rejected(
            f"'langchain:{name}' names no factory: write langchain:package.module:factory"
        )
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Rejected(
            f"langchain:{name} can't be found: {error}; is its folder on PYTHONPATH?"
        ) from error
    from langchain_core.language_models import BaseChatModel

    model = factory()
    if not isinstance(model, BaseChatModel):
        raise Rejected(f"langchain:{name} gives a {type(model).__name__}, not a chat model")
    return LangChainBackend(model, f"langchain:{name}")


@dataclass
class LangChainBackend:
    """Any LangChain chat model. Tools are bound where the model can; else use the text dialect."""

    model: BaseChatModel
    name: str = "langchain"

    @property
    def capabilities(self) -> Capabilities:
        from langchain_core.language_models import BaseChatModel

        binds = type(self.model).bind_tools is not BaseChatModel.bind_tools
        return Capabilities(dialects=("native", "text") if binds else ("text",))

    async def complete(self, request: Request) -> Completion:
        from langchain_core.messages import AIMessage

        model: Any = self.model
        if request.tools:
            model = model.bind_tools(list(request.tools))
        sampling = request.sampling
        try:
            message = await model.ainvoke(
                [_to_langchain(message) for message in request.messages],
                stop=list(sampling.stop) or None,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                seed=request.seed,
                **sampling.extra,
            )
        except Exception as error:
            raise _typed(error, self.name) from error
        if not isinstance(message, AIMessage):
            raise Rejected(f"{self.name} answered with {type(message).__name__}, not an AIMessage")
        if message.invalid_tool_calls and not message.tool_calls:
            wrong = message.invalid_tool_calls[0]
            raise ModelFault(
                f"the call of {wrong['name']} can't be read: {wrong['error'] or 'it is no JSON'}",
                text=message.text or str(wrong["args"]),
            )
        used = message.usage_metadata
        return Completion(
            text=message.text,
            calls=tuple(
                Call(call["name"], call["args"], call["id"] or "") for call in message.tool_calls
            ),
            finish=str(message.response_metadata.get("finish_reason", "stop")),
            usage=Usage(used["input_tokens"], used["output_tokens"]) if used else Usage(),
            model=str(message.response_metadata.get("model_name", "")),
        )

    async def close(self) -> None:
        """LangChain models have nothing to close."""


def _typed(error: Exception, name: str) -> BackendError:
    """The error by who must act. Every provider has its own classes, so go by what they share."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    message = f"{name} failed: {type(error).__name__}: {describe(error)}"
    if status == 429:
        asked = getattr(response, "headers", {}).get("retry-after", "")
        return RateLimited(message, float(asked) if asked.isdigit() else None)
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    if status in (408, 409) or (status or 0) >= 500 or re.search("Connect|Timeout", kinds):
        return Unavailable(message)
    if re.search("context.(length|window)", str(error), re.IGNORECASE):
        return ContextOverflow(message)
    return Rejected(message)


def _to_langchain(message: dict[str, Any]) -> Any:
    """An OpenAI-shaped message with argument objects, as LangChain's own classes take it."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    content = message["content"]
    if message["role"] == "assistant":
        calls = [
            {
                "name": call["function"]["name"],
                "args": call["function"]["arguments"],
                "id": call["id"],
                "type": "tool_call",
            }
            for call in message.get("tool_calls", ())
        ]
        return AIMessage(content, tool_calls=calls)
    if message["role"] == "tool":
        return ToolMessage(content, tool_call_id=message.get("tool_call_id", ""))
    return SystemMessage(content) if message["role"] == "system" else HumanMessage(content)


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
