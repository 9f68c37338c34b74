"""``ollama:NAME[@URL]``: a model in Ollama as a backend."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from callsmith.backends import Capabilities, Completion, ModelInfo, OnPull, Request, split_url
from callsmith.errors import BackendError, ContextOverflow, Rejected, Unavailable
from callsmith_ollama.client import Client, read_address
from callsmith_ollama.details import Details, read_details
from callsmith_ollama.messages import Reply, size_of, write_request
from callsmith_ollama.window import Window

if TYPE_CHECKING:
    from ollama import ListResponse

    from callsmith.tasks import Task

TRUNCATES = (0, 12, 6)
"""The first version that can be told not to cut a conversation."""

TIMEOUT = 1800.0
"""Half an hour: a large model on a CPU is slow, behind others in the queue, or not loaded yet."""

CONCURRENCY = 4
"""Ollama works on OLLAMA_NUM_PARALLEL turns at once, by default one; the others are its queue."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may set; `open_backend` says what each is."""

    think: bool | str | None
    keep_alive: str | float
    num_ctx: int
    tool_role: bool | None


def open_backend(
    name: str,
    *,
    task: Task | None = None,
    think: bool | str | None = None,
    keep_alive: str | float = "30m",
    num_ctx: int = 0,
    tool_role: bool | None = None,
) -> OllamaBackend:
    """The model ``NAME[@URL]``; without a URL at OLLAMA_HOST, or else on this machine.

    ``think`` is false, true or a level ("low") for models that think. ``keep_alive`` is how long
    Ollama keeps the model loaded after a turn, as "30m" or in seconds, -1 for ever. ``num_ctx`` is
    the window in tokens; by default it is as large as the conversations need. ``tool_role`` says
    whether the model's template has a role for results, where calls are written as text.

    Raises Rejected for an address or an option that can't be.
    """
    model, url = split_url(name)
    if type(num_ctx) is not int or num_ctx < 0:
        raise Rejected(f"num_ctx is a number of tokens, not {num_ctx!r}")
    address = read_address(url or os.environ.get("OLLAMA_HOST", ""))
    return OllamaBackend(model, address, Options(think, keep_alive, num_ctx, tool_role))


class OllamaBackend:
    """A model in Ollama, opened by `open_backend`."""

    def __init__(self, model: str, url: str, options: Options) -> None:
        self.name = f"ollama:{model}"
        self._model = model
        self._options = options
        self._client = Client(url, model)
        # Until `prepare` knows better.
        self._window = Window(options.num_ctx, fixed=options.num_ctx > 0)
        self.capabilities = Capabilities(
            tool_role=bool(options.tool_role),
            context=options.num_ctx,
            concurrency=CONCURRENCY,
            constrains=("json",),
            timeout=TIMEOUT,
        )

    async def prepare(self) -> None:
        """Look whether Ollama is there and has the model, and what the model can do.

        Raises Unavailable or Rejected.
        """
        self._check_name()
        version = await self._client.version()
        details = read_details(await self._client.details(self._model))
        if not details.chats:
            raise Rejected(f"{self._model} does not chat, it is for other uses: take another model")
        if self._options.think and not details.thinks:
            raise Rejected(f"{self._model} does not think: leave out -o think")
        self._window = self._make_window(details, _cuts(version))
        takes = "takes" if details.tools else "does not take"
        given = self._options.tool_role
        self.capabilities = replace(
            self.capabilities,
            dialects=("native", "text", "json") if details.tools else ("text", "json"),
            tool_role=details.tool_role if given is None else given,
            context=self._window.limit,
            reason=f"Ollama says that {self._model} {takes} functions",
        )

    def _check_name(self) -> None:
        if not self._model:
            raise Rejected("name a model, as ollama:llama3.1; `callsmith models ollama` lists them")

    def _make_window(self, details: Details, cuts: bool) -> Window:
        given = self._options.num_ctx
        most = min(filter(None, (given, details.context)), default=0)
        # A server elsewhere has the whole window, whatever it is asked for.
        fixed = bool(most) and (given > 0 or details.remote)
        return Window(most, start=details.num_ctx, fixed=fixed, cuts=cuts)

    async def complete(self, request: Request) -> Completion:
        """The model's next turn.

        Raises ContextOverflow where the model can't read the whole conversation, ModelFault where
        Ollama can't read what the model wrote, and Unavailable or Rejected for everything else.
        """
        body = write_request(request, self._model, self._options.keep_alive, self._options.think)
        size = size_of(body)
        while True:
            num_ctx = self._window.fit(size, request.sampling.max_tokens)
            body["options"]["num_ctx"] = num_ctx
            reply = Reply(request.on_text)
            try:
                async with contextlib.aclosing(self._client.converse(body)) as parts:
                    async for part in parts:
                        reply.add(part)
                self._window.check(num_ctx, size, reply.usage, request)
                return reply.completion()
            except ContextOverflow:
                # More tokens than were expected are no failure while there is room. But a token
                # is hardly less than a byte: a larger window won't help what is short.
                if 2 * size < num_ctx or not self._window.grow(num_ctx):
                    raise
                if request.on_text:
                    request.on_text("")

    async def close(self) -> None:
        """Close the connections. The model stays loaded for as long as ``keep_alive`` says."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def models(self) -> list[ModelInfo]:
        """The models that this Ollama has."""
        await self._client.version()  # says it best if this is no Ollama
        listed = await self._client.listed()
        return list(await asyncio.gather(*(self._describe(model) for model in listed.models)))

    async def _describe(self, model: ListResponse.Model) -> ModelInfo:
        name = model.model or ""
        try:
            details = read_details(await self._client.details(name))
        except BackendError:  # one that is broken, or was removed meanwhile, hides no others
            details = None
        about = model.details
        parts = (about.parameter_size, about.quantization_level) if about else ()
        return ModelInfo(
            name=name,
            size=int(model.size or 0),
            context=details.context if details else 0,
            tools=details.tools if details else None,
            detail=" ".join(filter(None, parts)),
            chats=details.chats if details else True,
        )

    async def pull(self, on_progress: OnPull) -> None:
        """Have Ollama fetch the model, all its parts counted together. Raises Rejected if it can't,
        Unavailable if the server goes away.
        """
        self._check_name()
        done: dict[str, int] = {}
        total: dict[str, int] = {}
        status = ""
        async with contextlib.aclosing(self._client.fetch()) as parts:
            async for part in parts:
                status = part.status or ""
                if part.digest:
                    total[part.digest] = part.total or 0
                    done[part.digest] = part.completed or 0
                what = "pulling" if part.digest else status
                on_progress(what, sum(done.values()), sum(total.values()))
        if status != "success":
            raise Unavailable(f"Ollama broke off fetching {self._model}: start again to go on")


def _cuts(version: str) -> bool:
    """Whether an Ollama of this version cuts conversations, though it is told not to."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    numbers = tuple(map(int, found.groups())) if found else ()
    return (0, 0, 0) < numbers < TRUNCATES  # 0.0.0 is one built from source
