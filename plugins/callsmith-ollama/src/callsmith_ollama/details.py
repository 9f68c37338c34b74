"""What Ollama says of a model: its window, whether it takes functions, thinks, and runs here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOOL_ROLE = re.compile(r"""role\b['"\]]*\s*(?:==\s*)?["']tool["']""", re.IGNORECASE)
"""In Go's templates ``eq .Role "tool"``, in Jinja's ``message['role'] == 'tool'``."""


@dataclass(frozen=True, slots=True)
class Details:
    """``context`` is the model's window in tokens, 0 if unknown, and ``num_ctx`` the one that its
    Modelfile asks for, 0 if it asks for none. ``tool_role`` says that its template has a role for
    results; ``remote`` that Ollama only passes on to a server elsewhere.
    """

    context: int = 0
    num_ctx: int = 0
    chats: bool = True
    tools: bool = True
    thinks: bool = True
    tool_role: bool = False
    remote: bool = False


def read_details(shown: Mapping[str, Any]) -> Details:
    """The details in an answer of ``/api/show``."""
    template = str(shown.get("template") or "")
    able = shown.get("capabilities")
    if not isinstance(able, list):
        # Ollama before 0.6.4 does not say. It finds out by the template; so do we.
        able = ["completion", *(["tools"] if ".Tools" in template else [])]
    info = shown.get("model_info")
    return Details(
        context=_context(info if isinstance(info, Mapping) else {}),
        num_ctx=_num_ctx(str(shown.get("parameters") or "")),
        chats="completion" in able,
        tools="tools" in able,
        thinks="thinking" in able,
        tool_role=bool(_TOOL_ROLE.search(template)),
        remote=bool(shown.get("remote_host")),
    )


def _context(info: Mapping[str, Any]) -> int:
    # Under the name of its architecture; there is one such key only.
    lengths = [value for key, value in info.items() if key.endswith(".context_length")]
    return lengths[0] if lengths and isinstance(lengths[0], int) else 0


def _num_ctx(parameters: str) -> int:
    found = re.findall(r"^num_ctx\s+(\d+)\s*$", parameters, re.MULTILINE)
    return int(found[-1]) if found else 0
