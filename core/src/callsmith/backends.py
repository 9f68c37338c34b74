"""What completes a conversation: the Backend protocol, and the backends that need no server.

Models are named ``scheme:name``; the scheme's plugin registers a factory for it,
``open(name, *, task, **options)``. Errors are in `errors`, typed by who must act; what HTTP
servers have in common is in `serving`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import unquote

from callsmith.chain import JSON, Call, Dialect, Problem, Sampling, Step, Usage
from callsmith.errors import Rejected

if TYPE_CHECKING:
    from callsmith.tasks import Task

Message: TypeAlias = dict[str, Any]
"""An OpenAI-shaped message; a tool call's ``arguments`` is an object, not a string."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a server must hold the model's text to, so that it can only be a valid call.

    A JSON Schema in the dialect json, or a grammar in the dialect text, in GBNF as llama.cpp has
    it. The other one is empty.
    """

    schema: Mapping[str, JSON] | None = None
    grammar: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One turn to complete.

    ``messages`` is the whole conversation; ``tools`` the functions' schemas in the native dialect,
    else empty. ``seed`` is the chain's. ``problem``, ``attempt`` and ``steps`` are for backends
    that replay instead of sampling, and to tell the turns of one chain apart: servers are never
    sent them. ``on_text`` is called with each piece of the turn as it is written: a backend that
    can stream does so if it is there. An empty piece says that the turn is written anew, and what
    came of it before is void.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, JSON]] = ()
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    problem: Problem = field(default_factory=lambda: Problem(""))
    attempt: int = 0
    steps: tuple[Step, ...] = ()
    constraint: Constraint | None = None
    on_text: Callable[[str], None] | None = field(default=None, compare=False)

    @property
    def turn_seed(self) -> int:
        """What a server is sent: the chain's seed, and one more with every turn, below 2**31."""
        return (self.seed + len(self.steps)) % 2**31


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's turn. ``calls`` are those that the server itself told apart (native dialect).

    ``reasoning`` is what the model thought before it spoke; it is never part of ``text``.
    ``waited`` is the seconds for which the server was away or busy: they are not the chain's.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    usage: Usage = field(default_factory=Usage)
    reasoning: str = ""
    model: str = ""
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do. The first dialect is the one that ``auto`` takes, for this ``reason``.

    ``samples`` is False where temperature and seed mean nothing, as in a replay. ``tool_role`` says
    whether its chat template has a role for results, which the text dialect then uses; ``shots``
    how many worked examples it was trained to be shown, None if that is all the same; ``context``
    is the window in tokens, 0 if unknown; ``concurrency`` the number of chains in flight that suits
    it; ``constrains`` lists the dialects in which it can hold a model to valid calls, the better
    one first; ``timeout`` is the seconds after which a turn is asked for again, None for never.
    """

    dialects: tuple[Dialect, ...] = ("native", "text", "json")
    samples: bool = True
    tool_role: bool = False
    shots: int | None = None
    context: int = 0
    concurrency: int = 8
    constrains: tuple[Dialect, ...] = ()
    timeout: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a server has. ``size`` is in bytes and ``context`` in tokens, 0 if unknown.

    ``tools`` says whether it takes functions, None if the server does not tell; ``chats`` is False
    for one that has other uses, such as embeddings.
    """

    name: str
    size: int = 0
    context: int = 0
    tools: bool | None = None
    detail: str = ""
    chats: bool = True


class Backend(Protocol):
    """Completes conversations. Raises only what `errors` lists under BackendError.

    One that runs local weights has ``weights`` too: the folder or hub name that a trainer can fit.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def prepare(self) -> None:
        """Before the first request: look whether the model is there, and what it can do.

        Raises Rejected or Unavailable; afterwards ``capabilities`` are the model's own.
        """

    async def complete(self, request: Request) -> Completion: ...

    async def close(self) -> None: ...


@runtime_checkable
class Catalogue(Protocol):
    """A backend that knows what other models its server has; opened without a model's name."""

    async def models(self) -> Sequence[ModelInfo]: ...


OnPull: TypeAlias = Callable[[str, int, int], None]
"""Told what is being fetched, the bytes that are here, and those in all."""


@runtime_checkable
class Puller(Protocol):
    """A backend that can fetch its model. Raises what `Backend.prepare` raises."""

    async def pull(self, on_progress: OnPull) -> None: ...


_WITH_URL = re.compile(r"(.*?)(?:@(https?://.*))?", re.DOTALL | re.IGNORECASE)

_ADDRESS = re.compile(
    r"@(?:([a-z][a-z0-9+.-]*)://.*"
    r"|((?:localhost|\d+(?:\.\d+){3}|\[[0-9a-f:]+\])(?::\d+)?(?:/.*)?|[\w.-]+:\d{2,5}(?:/.*)?))$",
    re.IGNORECASE,
)
"""What can only be meant for a server; other names with an @, such as revisions, are models'."""

_SECRET = re.compile(
    "(key|token|sig|signature|secret|pass|password|passwd|pwd|auth|code|credentials?)$",
    re.IGNORECASE,
)
"""The names of what holds a key in a query; others, such as api-version, are harmless."""


def split_url(name: str) -> tuple[str, str]:
    """``my-model@http://host/v1`` in two, the URL empty if there is none.

    Raises Rejected for a URL with a password or a key in it, which would be recorded with every
    chain, and for an address that is none, which would be taken for a part of the model's name.
    """
    model, url = _WITH_URL.fullmatch(name).groups("")  # type: ignore[union-attr]
    if found := _ADDRESS.search(model):
        scheme, address = found.groups("")
        if scheme:
            raise Rejected(f"the URL of a server begins with http:// or https://, not {scheme}://")
        raise Rejected(f"the address of a server is a URL: write @http://{address}")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise Rejected("a URL must not hold a user or a password: give keys in the environment")
    for part in re.split("[?&;#]", url)[1:]:
        if _SECRET.search(field := unquote(part.partition("=")[0])):
            raise Rejected(
                f"a URL must not hold a key, and {field} looks like one: put it into a variable "
                "of the environment (for openai: one that -o key_env=VARIABLE names)"
            )
    return model, url


@dataclass(frozen=True, slots=True)
class Previous:
    """In a planned call's arguments: the result of an earlier call, counted from the last."""

    back: int = 1


@dataclass
class ReplayBackend:
    """Makes planned calls, one a turn, and answers with what they gave.

    ``plan`` gives the calls for a problem and attempt; `Previous` in their arguments stands for
    the results of earlier calls.
    """

    name: str
    plan: Callable[[Problem, int], Sequence[Call]]
    capabilities: Capabilities = Capabilities(dialects=("native",), samples=False, concurrency=64)

    async def prepare(self) -> None:
        """A plan is always there."""

    async def complete(self, request: Request) -> Completion:
        calls = self.plan(request.problem, request.attempt)
        made = [result for step in request.steps for result in step.results]
        if len(made) >= len(calls):
            return Completion()
        call = calls[len(made)]

        def fill(value: JSON) -> JSON:
            if isinstance(value, Previous):
                return made[-value.back].value if value.back <= len(made) else None
            if isinstance(value, list):
                return [fill(item) for item in value]
            if isinstance(value, Mapping):
                return {name: fill(item) for name, item in value.items()}
            return value

        return Completion(calls=(replace(call, arguments=fill(call.arguments)),))

    async def close(self) -> None:
        """Nothing is held open."""


def open_reference(name: str, *, task: Task | None) -> Backend:
    """``reference``: a teacher that needs no model; it replays the task's reference chains."""
    reference = getattr(task, "reference", None)
    if task is None:
        raise Rejected("the model 'reference' is no server: it replays chains, so name a task")
    if reference is None:
        raise Rejected(f"the model 'reference' needs reference chains, and {task.name} has none")
    return ReplayBackend("reference", lambda problem, attempt: reference(problem))


@dataclass
class ScriptedBackend:
    """For tests: says the given turns in order, the last one for ever.

    A turn is a text, a Completion, an exception to raise, or a function from the Request to one
    of these. ``requests`` keeps what was asked.
    """

    turns: Sequence[str | Completion | Exception | Callable[[Request], Any]]
    name: str = "scripted"
    capabilities: Capabilities = Capabilities(dialects=("text", "native", "json"))
    requests: list[Request] = field(default_factory=list)

    async def prepare(self) -> None:
        """A script is always there."""

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        turn: Any = self.turns[min(len(request.steps), len(self.turns) - 1)]
        if callable(turn):
            turn = turn(request)
        if isinstance(turn, Exception):
            raise turn
        return Completion(turn) if isinstance(turn, str) else turn

    async def close(self) -> None:
        """Nothing is held open."""
