"""What a model can do, as its server says it, or as can be found out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from callsmith.backends import Capabilities, ModelInfo
from callsmith.chain import Dialect
from callsmith.errors import BackendError, Rejected
from callsmith_openai.bodies import Bodies
from callsmith_openai.connection import Connection
from callsmith_openai.failures import Answer
from callsmith_openai.listing import Listing

UNKNOWN = Capabilities(
    dialects=("native", "text", "json"),
    concurrency=32,
    constrains=("json",),
    # Servers let requests wait while others are worked on.
    timeout=600.0,
)
"""Of a server that has not been asked yet."""

_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}


async def find_abilities(
    connection: Connection, listing: Listing, bodies: Bodies, openai: bool
) -> Capabilities:
    """Of a server that is not llama.cpp, found out by one request or two, for one token each.

    That is needed where the model is not on the server's list, which need not be whole, and where
    the list does not say whether it takes tools. Raises Rejected for a model that is not there,
    and what comes of a server that fails.
    """
    model = listing.describe(bodies.model)
    takes = True if openai else model.tools
    who = "OpenAI's models take" if openai else f"the server says that the model {_takes(takes)}"
    able = replace(
        UNKNOWN,
        dialects=_dialects(takes is not False),
        context=model.context,
        reason=f"{who} tools",
    )
    listed = bodies.model in listing.entries
    if listed and takes is not None:
        return able
    plain = await _try_plain(connection, bodies)
    error = _error(connection, plain)
    # Without a list, what is refused may be something else than the model.
    named = re.search(
        rf"(?<!\w){re.escape(bodies.model)}(?!\w)", plain.body.decode(errors="replace")
    )
    unknown = not listed and (listing.entries or named)
    if error and unknown and plain.status in (400, 404, 422):
        hint = listing.hint(bodies.model)
        raise Rejected(f"there is no model {bodies.model!r}: {error}; {hint}")
    # A refusal of the request itself may be of so short an answer, and no reason to give up.
    if error and plain.status not in (400, 422):
        raise error
    if takes is not None:
        return able
    if error:
        return replace(able, reason="the server did not say whether it takes tools")
    return await _try_tools(connection, bodies, able, _prompt_tokens(plain))


async def find_llama_abilities(connection: Connection, model: ModelInfo) -> Capabilities:
    """Of a llama.cpp server, which says all of it at /props. Raises Rejected or Unavailable."""
    answer = await connection.get(connection.beside("props"))
    if answer.status in (401, 503):
        raise connection.failures.status(answer)
    said = answer.data if answer.status == 200 and isinstance(answer.data, Mapping) else {}
    template = str(said.get("chat_template"))
    caps = said.get("chat_template_caps")
    if isinstance(caps, Mapping) and "supports_tools" in caps:
        takes = caps["supports_tools"] is True
    else:
        takes = bool(re.search(r"\btools\b", template))
    settings, slots = said.get("default_generation_settings"), said.get("total_slots")
    context = settings.get("n_ctx") if isinstance(settings, Mapping) else None
    return replace(
        UNKNOWN,
        dialects=_dialects(takes),
        tool_role=await _has_tool_role(connection, template),
        context=context if isinstance(context, int) else model.context,
        # More than there are slots, so that none is idle while functions run.
        concurrency=slots + max(1, slots // 4) if isinstance(slots, int) else UNKNOWN.concurrency,
        constrains=("json", "text"),
        reason=f"the model's chat template {_takes(takes)} tools",
    )


async def _has_tool_role(connection: Connection, template: str) -> bool:
    """Whether the template writes results of calls that are written as text.

    One that writes any role by its name has none for them; some refuse what follows no call of
    their own, which llama.cpp's own rendering shows.
    """
    if not re.search(r"""["']tool["']""", template):
        return False
    result = "result-of-a-call"
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "!"},
        {"role": "tool", "content": result},
    ]
    body = json.dumps({"messages": messages}).encode()
    answer = await connection.post(connection.beside("apply-template"), body)
    return answer.status == 200 and result in answer.body.decode(errors="replace")


def _dialects(takes_tools: bool) -> tuple[Dialect, ...]:
    return UNKNOWN.dialects if takes_tools else ("text", "json")


def _takes(yes: bool | None) -> str:
    return "takes" if yes else "takes no"


async def _try_plain(connection: Connection, bodies: Bodies) -> Answer:
    answer = await connection.post(connection.chat, bodies.probe([]))
    if answer.status in (400, 422) and bodies.adapt(answer.body.decode(errors="replace")):
        return await connection.post(connection.chat, bodies.probe([]))
    return answer


async def _try_tools(
    connection: Connection, bodies: Bodies, able: Capabilities, tokens: Any
) -> Capabilities:
    """What a request with a tool tells, when one without has prompted with so many tokens.

    A server that can't do tools (vLLM without --enable-auto-tool-choice) refuses it; one that drops
    them counts as many tokens again.
    """
    tried = await connection.post(connection.chat, bodies.probe([_TOOL]))
    error = _error(connection, tried)
    if error and tried.status in (429, 502, 503, 504):
        raise error
    if error:
        return replace(able, dialects=_dialects(False), reason=str(error))
    if tokens and tokens == _prompt_tokens(tried):
        # Whoever knows better can still ask for native: some proxies count in ways of their own.
        dialects: tuple[Dialect, ...] = (*_dialects(False), "native")
        return replace(able, dialects=dialects, reason="the server shows the model no tools")
    return replace(able, reason="the server takes tools")


def _error(connection: Connection, answer: Answer) -> BackendError | None:
    if answer.status != 200:
        return connection.failures.status(answer)
    if not isinstance(answer.data, Mapping):
        return connection.failures.nonsense(f"answers with {answer.kind}, not JSON")
    error = answer.data.get("error")
    return connection.failures.inside(error) if error else None


def _prompt_tokens(answer: Answer) -> Any:
    usage = answer.data.get("usage")
    return usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
