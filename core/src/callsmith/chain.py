"""The record of what a model did: frozen data, and JSON both ways.

Nothing here runs, renders or judges. A chain is independent of the dialect it was written in and
carries everything that shaped it, so that it can be replayed, exported and trained on later.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from json.encoder import encode_basestring as _quote
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from pydantic import TypeAdapter

JSON: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, or lists and string-keyed dicts of them."""

FaultKind: TypeAlias = Literal[
    "unparsable",  # the turn could not be read as calls
    "no_call",  # the turn has no call at all
    "unknown_function",
    "bad_arguments",
    "function_error",  # the function refused its arguments: division by zero, ...
    "timeout",  # the function passed its time limit
    "memory",  # the function passed its memory limit
    "crash",  # the function's worker process died
    "bad_result",  # the function gave something that is no JSON value
    "truncated",  # the turn was cut at max_tokens
    "model",  # the server could not make sense of what the model wrote
]

Stop: TypeAlias = Literal[
    "answer", "steps", "repeated", "calls", "tokens", "seconds", "context", "gave_up"
]
"""Why a chain ended. Only ``answer`` carries an answer."""

Dialect: TypeAlias = Literal["text", "native", "json"]
"""How calls are written: ``name(arg=value)``, by the server's own tool calls, or as JSON text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its gold answer.

    ``context`` is the text that the question is about, if it stands apart. ``meta`` holds the
    task's own annotations (a gold solution, the number of hops); models and functions never see
    it, nor ``gold``.
    """

    question: str
    gold: JSON = None
    context: str = ""
    id: str = ""
    meta: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """16 hex digits of the normalised question and context, whatever the gold answer says."""
        return _key(self.question, self.context)

    @property
    def gold_hash(self) -> str:
        """16 hex digits of the gold answer."""
        return digest(self.gold)

    @property
    def text(self) -> str:
        """What a model is shown: the context, if any, then the question."""
        return f"{self.context}\n\n{self.question}" if self.context else self.question

    def hidden(self) -> Problem:
        """The problem as a function may see it: without gold answer and annotations."""
        return Problem(self.question, context=self.context, id=self.id)


@dataclass(frozen=True, slots=True)
class Call:
    """A model's wish to run a function. ``arguments`` is always an object, keyed by name.

    ``expected`` is set by sources that recorded a result along with the call (GSM8K's
    annotations); a difference to what the call gives is noted on the result.
    """

    name: str
    arguments: Mapping[str, JSON] = field(default_factory=dict)
    id: str = ""
    expected: JSON = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A model's mistake, and the one sentence that it was answered with."""

    kind: FaultKind
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave: a JSON value, or a fault. ``note`` is for people, never for the model."""

    value: JSON = None
    fault: Fault | None = None
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn, or of many, as the backend counted them.

    ``cached`` are those of the prompt that it did not have to read again, ``reasoning`` those of
    the completion that went into thoughts.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One model turn: its text, the calls read from it, their results in order, and any fault.

    ``text`` is the turn verbatim. ``fault`` is the turn's own (nothing could be read from it, or
    from its rest); a fault of one call stands on its result. ``state`` is the chain's state
    afterwards, for functions that keep one. ``model`` is the name the backend answered under,
    where it says one. ``from_text`` says that native calls were asked for, and the model wrote
    them into its text.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    fault: Fault | None = None
    finish: str = "stop"
    reasoning: str = ""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    state: JSON = None
    model: str = ""
    from_text: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault of the turn, those of its calls first."""
        faults = [result.fault for result in self.results if result.fault]
        return (*faults, self.fault) if self.fault else tuple(faults)

    @property
    def answers(self) -> bool:
        """Whether the turn ended the chain by an answer that was taken."""
        return bool(self.results) and self.calls[-1].name == "answer" and not self.results[-1].fault


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a turn is sampled. ``extra`` is passed to the server by name."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    extra: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setup:
    """What shaped a chain besides its problem: enough to know that two chains compare.

    ``functions`` and ``prompt`` are hashes of the functions' schemas and of the messages before
    the problem. ``constrained`` says that the server held the model to valid calls. ``plugins``
    maps distributions to versions.
    """

    model: str = ""
    task: str = ""
    split: str = ""
    dialect: Dialect = "native"
    sampling: Sampling = field(default_factory=Sampling)
    forget_faults: bool = False
    functions: str = ""
    prompt: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    constrained: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """One attempt at one problem, whole.

    ``note`` is for people, never for a model: why the conversation did not fit, where ``stop`` is
    ``context``.
    """

    problem: Problem
    setup: Setup = field(default_factory=Setup)
    steps: tuple[Step, ...] = ()
    stop: Stop = "gave_up"
    answer: JSON = None
    run: str = ""
    attempt: int = 0
    seed: int = 0
    started: str = ""
    seconds: float = 0.0
    note: str = ""
    version: Literal[1] = 1

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for step in self.steps for call in step.calls)

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(result for step in self.steps for result in step.results)

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(fault for step in self.steps for fault in step.faults)

    @property
    def usage(self) -> Usage:
        """Tokens of all turns together."""
        prompt = completion = cached = reasoning = 0
        for step in self.steps:
            usage = step.usage
            prompt += usage.prompt
            completion += usage.completion
            cached += usage.cached
            reasoning += usage.reasoning
        return Usage(prompt, completion, cached, reasoning)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a chain's answer is right.

    ``score`` is partial credit in 0..1, kept and exported; nothing is decided by it. ``grounded``
    says that a call gave the answer, so it was not guessed.
    """

    correct: bool
    score: float = 0.0
    reason: str = ""
    grounded: bool = False


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Of two ways to go on from ``prefix``, the one to prefer.

    ``method`` is how the pair was found (``chain`` or ``fault``); ``support`` how many attempts
    stand behind it; ``sources`` the chosen and the rejected chain as ``run/problem/attempt``.
    """

    problem: Problem
    prefix: tuple[Step, ...]
    chosen: tuple[Step, ...]
    rejected: tuple[Step, ...]
    method: str = "chain"
    support: int = 1
    sources: tuple[str, str] = ("", "")
    # The dialects that chosen and rejected were written in: raw text only renders in its own.
    dialects: tuple[Dialect, Dialect] = ("native", "native")


canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
"""A JSON value as text, the same whatever the order of its keys."""


def digest(value: JSON) -> str:
    """16 hex digits that identify a JSON value, whatever the order of its keys."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def dump(value: Chain | PreferencePair | Problem | Verdict) -> str:
    """One line of JSON. Fields that hold their default are left out, but for a chain's version."""
    kind: Any = type(value)
    line: str = _adapter(kind).dump_json(value, exclude_defaults=True).decode()
    return f'{{"version":{value.version},{line[1:]}' if isinstance(value, Chain) else line


def load_chain(text: str | bytes) -> Chain:
    """The chain in one line of JSON. Raises ValueError that says what is wrong in it."""
    chain: Chain = _adapter(Chain).validate_json(text)
    return chain


def load_problem(text: str | bytes) -> Problem:
    """The problem in one line of JSON. Raises ValueError that says what is wrong in it."""
    problem: Problem = _adapter(Problem).validate_json(text)
    return problem


def load_pair(text: str | bytes) -> PreferencePair:
    """The pair in one line of JSON. Raises ValueError that says what is wrong in it."""
    pair: PreferencePair = _adapter(PreferencePair).validate_json(text)
    return pair


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    # pydantic is imported on first use: most commands never read a chain.
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


@lru_cache(maxsize=16_384)  # a chain's problem is asked for its key again and again
def _key(question: str, context: str) -> str:
    # What `digest` makes of the two in a list, in a third of the time: a run begins with all keys.
    text = f"[{_quote(_normalise(question))},{_quote(_normalise(context))}]"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _normalise(text: str) -> str:
    if text.isascii():  # the same as below, far faster
        text = text.lower()
        is_spaced = text.isprintable() and "  " not in text
        return text.strip() if is_spaced else " ".join(text.split())
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, each key once, in order."""
    return list({problem.key: problem for problem in reversed(list(problems))}.values())[::-1]
