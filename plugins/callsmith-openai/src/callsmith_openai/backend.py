"""``openai:MODEL[@URL]``: a model behind a server that speaks OpenAI's chat completions.

A small client of two endpoints, /chat/completions and /models. Waiting for a server that is away,
and the time-out of a turn, are the rollout's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from callsmith.backends import Completion, ModelInfo, Request, split_url
from callsmith.errors import Rejected
from callsmith_openai.abilities import UNKNOWN, find_abilities, find_llama_abilities
from callsmith_openai.answers import Events, Merged, read_answer
from callsmith_openai.bodies import Bodies
from callsmith_openai.connection import Connection
from callsmith_openai.keys import OPENAI_URL, find_key, is_openai
from callsmith_openai.listing import list_models

if TYPE_CHECKING:
    from callsmith.tasks import Task


def open_backend(
    name: str,
    *,
    task: Task | None = None,
    key_env: str = "",
    tool_role: bool | None = None,
    seed: bool = True,
) -> OpenAIBackend:
    """The model of this name, ``MODEL@URL``; without a URL at OPENAI_BASE_URL, or at OpenAI.

    ``key_env`` names the variable that holds the key for a server that is not OpenAI's.
    ``tool_role`` says whether the model's chat template has a role for results, where the server
    doesn't. With ``seed`` false none is sent. Raises Rejected for a URL or a key that can be none.
    """
    for option, value in (("tool_role", tool_role), ("seed", seed)):
        if not isinstance(value, bool | None):
            raise Rejected(f"{option} is true or false, not {value!r}")
    model, url = split_url(name)
    url = (url or os.environ.get("OPENAI_BASE_URL", "") or OPENAI_URL).rstrip("/")
    connection = Connection(url, find_key(url, str(key_env)))
    return OpenAIBackend(model, connection, is_openai(url), tool_role, seed)


class OpenAIBackend:
    """One model of one server."""

    def __init__(
        self,
        model: str,
        connection: Connection,
        openai: bool = False,
        tool_role: bool | None = None,
        seed: bool = True,
    ) -> None:
        self.capabilities = replace(UNKNOWN, tool_role=bool(tool_role))
        self._connection = connection
        self._bodies = Bodies(model, openai, seed)
        self._openai = openai
        self._tool_role = tool_role

    @property
    def name(self) -> str:
        return f"openai:{self._bodies.model}"

    async def prepare(self) -> None:
        """Look whether the server has the model, and what it can do.

        Raises Rejected or Unavailable.
        """
        listing = await list_models(self._connection)
        if not self._bodies.model:
            self._bodies.model = listing.only(self._connection.failures.url)
        if listing.is_llama:
            # It gives the one it has under any name, and chains would carry a wrong one.
            if self._bodies.model not in listing.entries:
                raise Rejected(
                    f"{self._connection.failures.url} has no model {self._bodies.model!r}; "
                    f"{listing.hint(self._bodies.model)}"
                )
            model = listing.describe(self._bodies.model)
            able = await find_llama_abilities(self._connection, model)
        else:
            able = await find_abilities(self._connection, listing, self._bodies, self._openai)
        tool_role = able.tool_role if self._tool_role is None else self._tool_role
        self.capabilities = replace(able, tool_role=tool_role)

    async def complete(self, request: Request) -> Completion:
        """The model's next turn; streamed if somebody looks on. Raises BackendErrors."""
        if request.on_text is None:
            answer = await self._connection.ask(self._bodies.write(request))
            completion = read_answer(answer, self._connection.failures)
        else:
            completion = await self._stream(request, request.on_text)
        stop = request.sampling.stop
        return _before(stop, completion) if stop else completion

    async def _stream(self, request: Request, on_text: Callable[[str], None]) -> Completion:
        try:
            return await self._follow(self._bodies.write(request), on_text)
        except Rejected as error:
            if not self._bodies.adapt(str(error)):
                raise
        return await self._follow(self._bodies.write(request), on_text)

    async def _follow(self, body: bytes, on_text: Callable[[str], None]) -> Completion:
        merged = Merged(self._connection.failures)
        events = Events()
        async with aclosing(self._connection.stream(body)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, bytes):
                    completion = read_answer(piece, self._connection.failures)
                    on_text(completion.text)
                    return completion
                for event in events.feed(piece):
                    if event == "[DONE]":
                        return merged.completion()
                    if text := merged.add(event):
                        on_text(text)
        return merged.completion()

    async def models(self) -> Sequence[ModelInfo]:
        """What the server has. Raises Rejected or Unavailable."""
        listing = await list_models(self._connection)
        if not listing.entries:
            raise Rejected(f"{self._connection.failures.url} lists no models")
        found = [listing.describe(name) for name in listing.entries]
        if listing.is_llama:
            able = await find_llama_abilities(self._connection, found[0])
            found = [replace(found[0], context=able.context, tools="native" in able.dialects)]
        return found

    async def close(self) -> None:
        await self._connection.close()


def _before(stop: Sequence[str], completion: Completion) -> Completion:
    """The turn up to where a stop string begins: some servers leave it in the text."""
    found = [at for word in stop if (at := completion.text.find(word)) >= 0]
    return replace(completion, text=completion.text[: min(found)]) if found else completion
