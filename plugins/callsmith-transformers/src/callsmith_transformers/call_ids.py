"""Ids of calls as chat templates want them: Mistral's takes nine letters or digits, nothing else.

Servers make ids of their own kinds (``call_8XnB…``), and chains keep them. Templates are given
fitting ones instead, numbered in the conversation's order: a conversation that goes on keeps those
of its earlier turns, in a rollout and in training alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from callsmith.backends import Message

FITTING = re.compile(r"[A-Za-z0-9]{9}")


def fit_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages, each call with a fitting id of its own, each result pointing at its call.

    Ids that fit already stay, since a model may have written them itself.
    """
    used: set[str] = set()
    waiting: dict[str, list[str]] = {}  # the last turn's ids to what they became, in order

    def fit(call: Message) -> Message:
        old = str(call.get("id", ""))
        new, number = old, len(used)
        while not FITTING.fullmatch(new) or new in used:
            new, number = f"call{number:05}", number + 1
        used.add(new)
        waiting.setdefault(old, []).append(new)
        return {**call, "id": new}

    def fitted(message: Message) -> Message:
        if calls := message.get("tool_calls"):
            waiting.clear()
            return {**message, "tool_calls": [fit(call) for call in calls]}
        if new := waiting.get(str(message.get("tool_call_id"))):
            return {**message, "tool_call_id": new.pop(0)}
        return message

    return [fitted(message) for message in messages]
