"""The models that a server lists, and what its list says of them: every kind has its own fields."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callsmith.backends import ModelInfo
from callsmith.errors import Rejected
from callsmith_openai.connection import Connection
from callsmith_openai.failures import Answer

_CONTEXT = (
    "max_model_len",  # vLLM, SGLang
    "loaded_context_length",  # LM Studio, of a model in memory
    "context_length",  # OpenRouter, Together
    "context_window",  # Groq
    "max_context_length",  # LM Studio, Mistral
)
_NO_LIST = (403, 404, 405, 500, 501)


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries of a server's list by the models' names; empty where it has no such list."""

    entries: Mapping[str, Mapping[str, Any]]

    @property
    def is_llama(self) -> bool:
        """Whether it is llama.cpp's with its one model, which it takes for any name."""
        return [entry.get("owned_by") for entry in self.entries.values()] == ["llamacpp"]

    def only(self, url: str) -> str:
        """The name of the only model there is. Raises Rejected if there are others, or none."""
        if len(self.entries) == 1:
            return next(iter(self.entries))
        raise Rejected(f"say which model of {url}, as in openai:MODEL@{url}; {self.names()}")

    def hint(self, name: str) -> str:
        """Which listed model may have been meant."""
        close = difflib.get_close_matches(name, self.entries, n=3, cutoff=0.4)
        return f"did you mean {' or '.join(close)}?" if close else self.names()

    def names(self) -> str:
        """``it lists a, b``"""
        names = list(self.entries)
        more = ", …" if len(names) > 10 else ""
        return f"it lists {', '.join(names[:10])}{more}" if names else "it lists none"

    def describe(self, name: str) -> ModelInfo:
        """What the list says of a model."""
        entry = self.entries.get(name, {})
        meta = entry.get("meta")  # llama.cpp
        meta = meta if isinstance(meta, Mapping) else {}
        counts = [entry.get(key) for key in _CONTEXT] + [meta.get("n_ctx"), meta.get("n_ctx_train")]
        size = meta.get("size")
        words = _texts(entry.get("quantization"), entry.get("state"))  # LM Studio
        return ModelInfo(
            name=name,
            size=size if isinstance(size, int) else 0,
            context=next((count for count in counts if isinstance(count, int)), 0),
            tools=_takes_tools(entry),
            detail=", ".join(words or _texts(entry.get("owned_by"))),
        )


async def list_models(connection: Connection) -> Listing:
    """What the server lists at /models, if it does.

    Raises Rejected for a URL that is not the API's own, and what comes of a server that fails.
    """
    answer = await connection.get(connection.under("models"))
    if (entries := _entries(answer)) is not None:
        if not any(Listing(entries).describe(name).context for name in entries):
            entries |= await _of_lm_studio(connection, entries)
        return Listing(entries)
    if answer.status not in (200, *_NO_LIST):
        raise connection.failures.status(answer)
    url = connection.failures.url
    if connection.url.name != "v1":
        deeper = await connection.get(connection.under("v1/models"))
        if _entries(deeper) is not None or deeper.status == 401:
            raise Rejected(f"the API of this server is at {url}/v1: write the URL with /v1")
    if answer.status == 200:
        kind = "something else than a list of models" if answer.data is not None else answer.kind
        raise Rejected(
            f"{url} answers with {kind}: the URL must be the API's own, which mostly ends in /v1"
        )
    return Listing({})


async def _of_lm_studio(
    connection: Connection, entries: Mapping[str, Any]
) -> Mapping[str, Mapping[str, Any]]:
    """LM Studio has a list of its own, which says more of the same models."""
    more = _entries(await connection.get(connection.beside("api/v0/models"))) or {}
    return {name: entry for name, entry in more.items() if name in entries}


def _entries(answer: Answer) -> dict[str, Mapping[str, Any]] | None:
    """The entries in a list of models, None if the answer is none."""
    listed = answer.data.get("data") if isinstance(answer.data, Mapping) else answer.data
    if answer.status != 200 or not isinstance(listed, list):
        return None
    entries = [entry for entry in listed if isinstance(entry, Mapping)]
    return {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), str)}


def _takes_tools(entry: Mapping[str, Any]) -> bool | None:
    if isinstance(parameters := entry.get("supported_parameters"), list):  # OpenRouter
        return "tools" in parameters
    able = entry.get("capabilities")
    if isinstance(able, Mapping) and "function_calling" in able:  # Mistral
        return able["function_calling"] is True
    return True if isinstance(able, list) and "tool_use" in able else None  # LM Studio


def _texts(*values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)]
