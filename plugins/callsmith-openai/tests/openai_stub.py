"""A server that says what the test wants, and requests to ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from callsmith.backends import Request
from callsmith.chain import Sampling


@dataclass
class Stub:
    """A server whose answers are the test's: a path's own, or a function of the request's body.

    An answer is a status and a body: JSON, or bytes. ``asked`` keeps method, path, headers, body.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.asked.append((request.method, request.path, dict(request.headers), body))
        answer = self.answers.get(request.path, (404, {"detail": "Not Found"}))
        status, said = answer(body) if callable(answer) else answer
        if isinstance(said, bytes):
            return web.Response(status=status, body=said, content_type="text/html")
        return web.json_response(said, status=status)


def said(text: str = "hello", **message: Any) -> dict[str, Any]:
    """The body of a plain answer."""
    message = {"role": "assistant", "content": text, **message}
    return {
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


def ask(text: str = "Hi", **settings: Any) -> Request:
    """A request for one turn; settings are the request's, and sampling's where it has them."""
    sampling = {name: settings.pop(name) for name in Sampling.__slots__ if name in settings}
    messages = settings.pop("messages", [{"role": "user", "content": text}])
    return Request(messages, sampling=Sampling(**sampling), **settings)
