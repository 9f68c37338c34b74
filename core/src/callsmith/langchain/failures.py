"""What chat models raise, typed by who must act."""

from __future__ import annotations

import re
from typing import Any

from callsmith.backends import Completion
from callsmith.errors import BackendError, ContextOverflow, ModelFault, Rejected, Unavailable
from callsmith.serving import refusal
from callsmith.values import readable

_PASSING = re.compile(
    r"\bAPIError\b|Connect|Timeout|Transport|Network|Disconnect|PayloadError|JSONDecodeError"
)
"""In the names of errors that have no status: the server is away, or broke off."""

_MODELS_OWN = re.compile(r"error parsing tool call", re.IGNORECASE)
"""What Ollama answers with status 500 if its model wrote nonsense."""


def failure(error: Exception, name: str, model: Any, has_answered: bool) -> BackendError:
    """The error that stands for one of a provider's. ``name`` is the backend's.

    Every provider has classes of its own, so this goes by what they share: a status, and names.
    What has neither is the user's to mend, unless the model ``has_answered`` before: then the
    server said something that made no sense.
    """
    if isinstance(error, BackendError):
        return error
    said = readable(" ".join(f"{error}{_reason(error)}".split()))
    for secret in _secrets(model):
        said = said.replace(secret, "***")
    message = f"{name} failed: {type(error).__name__}: {said[:300]}"
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    if _MODELS_OWN.search(said) or "OutputParserException" in kinds:
        return ModelFault(said[:300], Completion(str(getattr(error, "llm_output", None) or "")))
    if isinstance(error, RuntimeError) and "event loop" in said.lower():
        return Rejected(
            f"{name} was asked from two event loops, and its connections belong to the first: "
            "in one program call it with await everywhere, or nowhere"
        )
    if "ContextOverflow" in kinds:
        return ContextOverflow(message)
    if status := _status(error):
        return refusal(status, message, _retry_after(error))
    refused = refusal(400, message)
    if isinstance(refused, ContextOverflow):
        return refused
    passing = getattr(error, "is_retryable", False) or _PASSING.search(kinds)
    return Unavailable(message) if passing or has_answered else refused


def _reason(error: Exception) -> str:
    """What the error comes from in the end, for those that say no more than "Connection error."."""
    first: BaseException = error
    while first.__cause__:
        first = first.__cause__
    return f" ({first})" if str(first) not in str(error) else ""


def _status(error: Exception) -> int:
    """The HTTP status that the error stands for, 0 if it has none."""
    response: Any = getattr(error, "response", None)
    if error.args and isinstance(inside := error.args[0], dict):  # an error in a 200
        found = inside.get("code") if isinstance(inside.get("code"), int) else 500
    elif isinstance(response, dict):  # botocore's
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        found = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    found = found or getattr(error, "code", None)  # Google's
    return found if isinstance(found, int) and 400 <= found < 600 else 0


def _retry_after(error: Exception) -> str:
    response: Any = getattr(error, "response", None)
    return str(getattr(response, "headers", {}).get("retry-after", ""))


def _secrets(model: Any) -> list[str]:
    """The keys that the model holds: a server may repeat one in what it says."""
    values = vars(model).values()
    found = [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]
    return [secret for secret in found if isinstance(secret, str) and secret]
