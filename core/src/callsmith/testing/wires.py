"""How kinds of servers speak: what their requests and answers look like on the wire.

A `Wire` is all that the fault server needs to know of a kind of server: `OpenAIWire` and
`OllamaWire` are ours, and anybody's own is a class with the same few methods. It is as strict as
the strictest of real servers, so that a request which only some take is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from callsmith.backends import Completion, Message
from callsmith.chain import JSON


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request asked for, whatever the wire. None is what it said nothing about.

    ``messages`` are OpenAI-shaped with arguments as objects; ``schema`` and ``grammar`` what the
    text must be held to; ``usage`` says whether the turn's tokens shall be told; ``extra`` holds
    the settings that no other field does.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, JSON]] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: JSON = None
    grammar: str = ""
    stream: bool = False
    usage: bool = True
    extra: Mapping[str, JSON] = field(default_factory=dict)


class Wire(Protocol):
    """One kind of server.

    ``model`` is the one model it has; ``base`` what backends want after the server's address, in
    their URL; ``chat`` the path that turns are asked for on; ``stream_type`` the content type of a
    turn that is streamed.
    """

    @property
    def model(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def chat(self) -> str: ...

    @property
    def stream_type(self) -> str: ...

    def look_up(self, path: str, body: JSON) -> tuple[int, JSON]:
        """Status and body of the answer on any path but ``chat``: which models there are, ..."""

    def read(self, body: JSON) -> Sent:
        """What a turn's request asks for. Raises ValueError if the server would refuse it."""

    def answer(self, turn: Completion) -> JSON:
        """The body of a turn that is not streamed."""

    def frames(self, turn: Completion) -> list[bytes]:
        """The same turn in the pieces of a stream, the one that ends it last."""

    def frame(self, body: JSON) -> bytes:
        """A body as one piece of a stream."""

    def error(self, status: int, message: str) -> JSON:
        """The body of an error."""

    def without_turn(self) -> JSON:
        """The body of an answer in which the turn itself is missing."""

    def unreadable_call(self, streamed: bool) -> tuple[int, bytes]:
        """Status and content when the model wrote a call whose arguments are no JSON."""


def spoken(messages: Sequence[Message]) -> list[tuple[str, str, list[tuple[str, JSON]]]]:
    """Role, text and calls of each message: what every wire carries, so that two compare."""
    return [
        (
            message["role"],
            message.get("content") or "",
            [
                (call["function"]["name"], dict(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            ],
        )
        for message in messages
    ]


def pieces(text: str) -> Iterator[str]:
    """A text as a stream brings it: a few characters at a time, a very long one in four parts."""
    size = max(4, len(text) // 4 if len(text) > 1000 else 4)
    return (text[at : at + size] for at in range(0, len(text), size))
