"""``langchain:package.module:factory``: any chat model of LangChain's as a backend."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from callsmith.backends import Backend, Capabilities, Completion, Message, Request
from callsmith.chain import JSON
from callsmith.errors import CallsmithError, Rejected, describe
from callsmith.langchain.failures import failure
from callsmith.langchain.loops import called_back_here, run_in_lasting_loop
from callsmith.langchain.turns import read_turn

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from callsmith.tasks import Task

logger = logging.getLogger(__name__)

TIMEOUT = 600.0
"""Seconds for one turn, unless the user says otherwise."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_tokens": (
        *("max_tokens", "max_output_tokens", "num_predict", "max_new_tokens"),
        "max_completion_tokens",
    ),
    "seed": ("seed", "random_seed"),
}
"""What chat models call their settings. Each has one of these names, or can't be told."""


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
    except Exception as error:
        raise Rejected(f"langchain:{name}: {module} failed: {_reason(error)}") from None
    from langchain_core.language_models import BaseChatModel

    try:
        model = factory()
    except CallsmithError:
        raise
    except Exception as error:
        # Not "from error": pydantic's shows what it was given, and that may be the key.
        raise Rejected(f"langchain:{name}: its factory failed: {_reason(error)}") from None
    if not isinstance(model, BaseChatModel):
        raise Rejected(f"langchain:{name} gives a {type(model).__name__}, not a chat model")
    backend = LangChainBackend(model, f"langchain:{name}", lasting_loop=True)
    if missing := [setting for setting in FIELDS if setting not in backend.fields]:
        logger.warning(
            "langchain:%s has no setting for %s, which it is not told", name, " and ".join(missing)
        )
    return backend


def _reason(error: Exception) -> str:
    """What is wrong, without the values that a model's class was given."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {describe(error)}"
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, w['loc']))}: {w['msg']}".lstrip(": ") for w in wrong)


@dataclass
class LangChainBackend:
    """Any LangChain chat model. Tools are bound where the model can; else use the text dialect.

    Sampling is set in the model's own fields, turn by turn, whatever the factory set there: call
    arguments of these names are taken by some providers, ignored or refused by others. With
    ``lasting_loop`` the model is asked in a loop that outlives the caller's, see `loops`.
    """

    model: BaseChatModel
    name: str = "langchain"
    lasting_loop: bool = False
    has_answered: bool = field(default=False, init=False, repr=False)

    @cached_property
    def capabilities(self) -> Capabilities:
        kind = type(self.model).__name__
        tools = self._takes_tools()
        return Capabilities(
            dialects=("native", "text", "json") if tools else ("text", "json"),
            samples="temperature" in self.fields,
            timeout=TIMEOUT,
            reason=f"{kind} takes tools" if tools else f"{kind} takes no tools",
        )

    def _takes_tools(self) -> bool:
        profile = getattr(self.model, "profile", None) or {}
        if profile.get("tool_calling") is False:
            return False
        try:
            self.model.bind_tools([])
        except NotImplementedError:
            return False
        except Exception:
            return True  # it takes tools, if not none at all
        return True

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The model's names for temperature, top_p, max_tokens and seed, as far as it has them."""
        declared = type(self.model).model_fields
        names = {one: [name for name in FIELDS[one] if name in declared] for one in FIELDS}
        return {one: found[0] for one, found in names.items() if found}

    async def prepare(self) -> None:
        """Whether the provider can be reached is seen with the first turn."""

    async def complete(self, request: Request) -> Completion:
        try:
            if self.lasting_loop:
                if request.on_text:
                    request = replace(request, on_text=called_back_here(request.on_text))
                message = await run_in_lasting_loop(self._ask(request))
            else:
                message = await self._ask(request)
            completion = read_turn(message, self.name)
        except Exception as error:
            # Not "from error": what the provider said may hold the key, and ends in a log so.
            raise failure(error, self.name, self.model, self.has_answered) from None
        self.has_answered = True
        return completion

    async def _ask(self, request: Request) -> Any:
        fields, arguments = self._settings(request)
        # A copy costs microseconds, and turns that are under way together must not share a seed.
        model: Any = self.model.model_copy(update=fields) if fields else self.model
        if request.tools:
            model = model.bind_tools(list(request.tools))
        messages = [_to_langchain(message) for message in request.messages]
        if request.on_text:
            return await _stream(model, messages, arguments, request.on_text)
        return await model.ainvoke(messages, **arguments)

    def _settings(self, request: Request) -> tuple[dict[str, JSON], dict[str, JSON]]:
        """The request's sampling as fields of the model, and what must be an argument."""
        sampling, declared = request.sampling, type(self.model).model_fields
        fields = {name: value for name, value in sampling.extra.items() if name in declared}
        arguments = {n: value for n, value in sampling.extra.items() if n not in declared}
        if arguments and "extra_body" in declared:  # where langchain-openai wants the servers' own
            extra_body = getattr(self.model, "extra_body", None) or {}
            fields["extra_body"], arguments = {**extra_body, **arguments}, {}
        whole = sampling.top_p == 1 and _needs_no_top_p(self.model)
        ours = {
            "temperature": sampling.temperature,
            "top_p": None if whole else sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.turn_seed,
        }
        fields |= {name: ours[one] for one, name in self.fields.items()}
        if request.on_text and "stream_usage" in declared:
            fields["stream_usage"] = True  # else langchain-openai asks only OpenAI itself for it
        if sampling.stop:
            arguments["stop"] = list(sampling.stop)
        return fields, arguments

    async def close(self) -> None:
        """LangChain models have nothing to close."""


def _needs_no_top_p(model: BaseChatModel) -> bool:
    """Whether its server takes 1 if told nothing; the newest of these take no top_p at all."""
    client = getattr(model, "root_async_client", None)  # langchain-openai's
    host = str(getattr(getattr(client, "base_url", None), "host", ""))
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    hosts = (".openai.com", ".openai.azure.com")
    return host.endswith(hosts) or "langchain_anthropic" in packages


async def _stream(
    model: Any,
    messages: list[Any],
    arguments: Mapping[str, JSON],
    on_text: Callable[[str], None],
) -> Any:
    whole: Any = None
    async for piece in model.astream(messages, **arguments):
        if piece.text:
            on_text(str(piece.text))
        whole = piece if whole is None else whole + piece
    return whole


def _to_langchain(message: Message) -> Any:
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
        id, name = message.get("tool_call_id", ""), message.get("name")
        return ToolMessage(content, tool_call_id=id, name=name)
    return SystemMessage(content) if message["role"] == "system" else HumanMessage(content)
