"""What Ollama says when it can't do something, typed by who must act.

Its sentences are all there is to go by: a model that wrote a call badly, one that does not fit into
memory and a crashed runner are all status 500.
"""

from __future__ import annotations

import json
import os
import re

from callsmith.backends import Completion
from callsmith.errors import BackendError, ModelFault, Rejected, describe
from callsmith.serving import refusal

KEY = "OLLAMA_API_KEY"
"""The variable that the client takes its key from, for servers that want one."""

_MODEL = re.compile(
    r"pars\w+ tool call|tool call arguments|invalid tool call"
    r"|XML syntax error|expected element type|failed to parse (?:input|XML|tool)"
    r"|^(?:invalid character|unexpected end of JSON|EOF$)"
    r"|repeat limit reached",
    re.IGNORECASE,
)
"""What its parsers of calls say of what a model wrote, and its guard against endless repetition."""

_RAW = re.compile(r"raw='(.*)', err=(.*)", re.DOTALL)

_MISSING = re.compile(r"model .* not found")


def failure(status: int, said: str, model: str, retry_after: str = "") -> BackendError:
    """The error that stands for an answer other than a turn, to be raised.

    ``said`` is the server's sentence; ``status`` 500 where it stood within a 200.
    """
    said = scrub(said)
    found = _RAW.search(said)
    said = " ".join(said.split()) or f"status {status}"
    if status == 404 and _MISSING.match(said):
        return Rejected(
            f"Ollama has no model {model}: get it with `ollama pull {model}`, or with --pull"
        )
    if "does not support tools" in said:
        return Rejected(f"{model} takes no functions in Ollama: use --dialect text")
    if "does not support thinking" in said or "think value" in said:
        return Rejected(f"{model} can't think so ({said}): leave out -o think, or give another")
    if "requires more system memory" in said:
        return Rejected(
            f"{model} is too large for this machine ({said}): take a smaller one, or a smaller "
            "window with -o num_ctx=4096"
        )
    if "failed to load model" in said or "unable to load model" in said:
        return Rejected(f"Ollama can't load {model} ({said}): `ollama pull {model}` may mend it")
    if status == 401:
        return Rejected(f"Ollama wants a key ({said}): set {KEY}, or `ollama signin` on its side")
    if status == 500 and _MODEL.search(said):
        raw, why = found.groups() if found else ("", said)
        why = describe(ValueError(why))
        return ModelFault(f"the turn could not be read: {why}", Completion(raw))
    if status == 499:  # the request that had it loaded is gone, and with it the loading
        status = 502
    return refusal(status, f"Ollama can't go on with {model}: {said}", retry_after)


def sentence(body: str) -> str:
    """The server's sentence in the body of an answer, which has the form ``{"error": "…"}``.

    Newer versions pass on the JSON of their runner as that sentence; proxies answer in HTML.
    """
    try:
        said = json.loads(body)
    except ValueError:
        return "" if body.lstrip().startswith("<") else body[:300]
    while isinstance(said, dict):
        said = said.get("error") or said.get("message") or ""
        if isinstance(said, str) and said.startswith("{"):
            return sentence(said)
    return str(said)


def scrub(text: str) -> str:
    """The text without the key, should a server repeat it."""
    key = os.environ.get(KEY, "")
    return text.replace(key, "***") if key else text
