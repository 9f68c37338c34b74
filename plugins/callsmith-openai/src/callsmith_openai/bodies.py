"""A request as the JSON that servers are sent.

A conversation is sent again with every turn, and its functions too: what was written once is kept.
For the 26 messages and 7 tools of a GSM8K turn that is most of the work there is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from callsmith.backends import Constraint, Message, Request
from callsmith.chain import JSON
from callsmith.errors import Rejected
from callsmith_openai.strict import strict_tool

T = TypeVar("T")

KEPT = 8192
"""Messages whose JSON is kept: those of all chains under way."""

OWN = (
    *("model", "messages", "tools", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *("stop", "seed", "n", "stream", "stream_options", "response_format", "grammar"),
)
"""Fields that callsmith sets itself, or that would give more answers than one."""


class Bodies:
    """Writes bodies for one model of one server, of which some want fields otherwise.

    ``limit`` is the name of the field for max_tokens. Without ``seeded`` no seed is sent, and
    without ``counts_streams`` no wish for the token counts of a streamed answer. OpenAI's newest
    models take no top_p at all: without ``always_top_p`` it is left out where it is 1.
    With ``strict``, tools are sent so that OpenAI holds the model to their schemas.
    A message that was written must not be changed afterwards.
    """

    def __init__(self, model: str, openai: bool, seeded: bool) -> None:
        self.model = model
        self.limit = "max_completion_tokens" if openai else "max_tokens"
        self.always_top_p = not openai
        self.seeded = seeded
        self.counts_streams = True
        self.strict = openai
        self._kept: dict[int, tuple[object, str]] = {}

    def write(self, request: Request) -> bytes:
        """The body for a request. Raises Rejected for extras that callsmith sets itself."""
        sampling = request.sampling
        fields: dict[str, Any] = {
            "model": self.model,
            "temperature": sampling.temperature,
            self.limit: sampling.max_tokens,
        }
        if self.always_top_p or sampling.top_p != 1:
            fields["top_p"] = sampling.top_p
        if sampling.stop:
            fields["stop"] = sampling.stop
        if self.seeded:
            fields["seed"] = request.turn_seed
        if request.on_text:
            fields["stream"] = True
            if self.counts_streams:
                fields["stream_options"] = {"include_usage": True}
        if sampling.extra:
            for name in OWN:
                if name in sampling.extra:
                    raise Rejected(f"{name} is no extra of sampling: callsmith sets it itself")
            fields |= sampling.extra
        small = json.dumps(fields)[:-1]
        messages = ",".join([self._once(message, _message) for message in request.messages])
        tools = f',"tools":{self._once(request.tools, self._tools)}' if request.tools else ""
        held = f",{self._once(request.constraint, _held)}" if request.constraint else ""
        return f'{small},"messages":[{messages}]{tools}{held}}}'.encode()

    def _tools(self, tools: Sequence[Mapping[str, JSON]]) -> str:
        return json.dumps([strict_tool(tool) if self.strict else tool for tool in tools])

    def _once(self, item: T, write: Callable[[T], str]) -> str:
        """What ``write`` makes of the item, which is known by its identity and so held on to."""
        if known := self._kept.get(id(item)):
            return known[1]
        if len(self._kept) >= KEPT:
            self._kept.clear()
        written = write(item)
        self._kept[id(item)] = (item, written)
        return written

    def probe(self, tools: Sequence[Mapping[str, JSON]]) -> bytes:
        """A request as small as can be, to see what the server makes of tools."""
        fields = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Hi"}],
            self.limit: 1,
        }
        return json.dumps(fields | {"tools": tools} if tools else fields).encode()

    def adapt(self, refusal: str) -> bool:
        """Whether the server refuses a field that it will now be sent otherwise, or not at all."""
        if self.limit == "max_tokens" and "max_completion_tokens" in refusal:
            self.limit = "max_completion_tokens"
            return True
        if self.counts_streams and "stream_options" in refusal:
            self.counts_streams = False
            return True
        if self.strict and ("strict" in refusal or "Invalid schema for function" in refusal):
            self.strict = False
            self._kept.clear()
            return True
        return False


def _message(message: Message) -> str:
    """The message with arguments as servers want them: JSON within JSON."""
    if "tool_calls" not in message:
        return json.dumps(message)
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        function = {"name": function["name"], "arguments": json.dumps(function["arguments"])}
        calls.append({"id": call["id"], "type": "function", "function": function})
    return json.dumps({**message, "tool_calls": calls})


def _held(constraint: Constraint) -> str:
    if constraint.schema is None:
        return f'"grammar":{json.dumps(constraint.grammar)}'
    schema = {"name": "call", "schema": constraint.schema, "strict": True}
    return f'"response_format":{json.dumps({"type": "json_schema", "json_schema": schema})}'
