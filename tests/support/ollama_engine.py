"""The stand-in for Ollama behind its HTTP: models that are here and loaded, prompts, turns.

See `ollama_shim`, which serves it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import string
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

from ollama_protocol import Refused, check_chat, seconds

Body: TypeAlias = dict[str, Any]

MODELS: dict[str, Body] = {
    "tiny:latest": {"capabilities": ["completion", "tools"]},
    "tiny-text:latest": {"capabilities": ["completion"]},
    "tiny-thinks:latest": {"capabilities": ["completion", "tools", "thinking"]},
    "tiny-embeds:latest": {"capabilities": ["embedding"]},
    # Its Modelfile asks for a window of its own.
    "tiny-modelfile:latest": {"capabilities": ["completion", "tools"], "num_ctx": 1024},
    # Does not fit into memory with a window larger than this.
    "tiny-hungry:latest": {"capabilities": ["completion", "tools"], "fits": 512},
    # In the library, not here before it is pulled.
    "tiny-far:latest": {"capabilities": ["completion", "tools"], "away": True},
}
TEMPLATE = '{{- range .Messages }}{{ if eq .Role "tool" }}<|tool|>{{ .Content }}{{ end }}{{ end }}'


class Ollama:
    """The server's state: which models are here and loaded, what was asked, what comes next."""

    def __init__(self, options: argparse.Namespace) -> None:
        import aiohttp

        self.version = tuple(int(part) for part in options.version.split("."))
        self.llama: str = options.llama
        # Like Ollama, a connection each: llama.cpp ends those that are kept after a while.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self.session = aiohttp.ClientSession(connector=connector)
        self.trained = 0
        self.running = asyncio.Semaphore(options.parallel)
        self.room = options.parallel + options.queue
        self.pending = 0
        self.forget()

    def forget(self) -> None:
        """As if newly started."""
        self.here = {name for name, model in MODELS.items() if not model.get("away")}
        self.loaded: dict[str, tuple[int, float]] = {}  # window, and when it is unloaded
        self.next: deque[Body] = deque()
        self.log: Body = {"chats": [], "loads": [], "cancelled": 0, "most": 0}

    # ---- what it says of itself and its models --------------------------------------------------

    def name(self, given: Any) -> str:
        name = given if ":" in str(given) else f"{given}:latest"
        if name not in self.here:
            raise Refused(404, f"model '{given}' not found")
        return str(name)

    def unload_idle(self) -> None:
        now = time.monotonic()
        self.loaded = {name: it for name, it in self.loaded.items() if it[1] > now}

    async def trained_context(self) -> int:
        if not self.trained:
            async with self.session.get(f"{self.llama}/v1/models") as answer:
                self.trained = (await answer.json())["data"][0]["meta"]["n_ctx_train"]
        return self.trained

    async def show(self, given: Any) -> Body:
        model = MODELS[self.name(given)]
        num_ctx = model.get("num_ctx")
        shown: Body = {
            "modelfile": "",
            "parameters": f"{'num_ctx':30} {num_ctx}\n{'temperature':30} 0.7" if num_ctx else "",
            "template": TEMPLATE + ("{{ .Tools }}" if "tools" in model["capabilities"] else ""),
            "details": {"family": "llama", "parameter_size": "1M", "quantization_level": "F16"},
            "model_info": {
                "general.architecture": "llama",
                "llama.context_length": await self.trained_context(),
            },
        }
        if self.version >= (0, 6, 4):
            shown["capabilities"] = model["capabilities"]
        return shown

    def tags(self) -> Body:
        details = {"parameter_size": "1M", "quantization_level": "F16"}
        return {
            "models": [
                {"name": name, "model": name, "size": 2_000_000, "digest": "0", "details": details}
                for name in sorted(self.here)
            ]
        }

    # ---- a turn ---------------------------------------------------------------------------------

    async def chat(self, body: Body) -> AsyncGenerator[Body, None]:
        """Yields the parts of an answer; raises Refused before the first."""
        check_chat(body)
        name = self.name(body["model"])
        able = MODELS[name]["capabilities"]
        if "completion" not in able:
            raise Refused(400, f'"{body["model"]}" does not support chat')
        if body.get("tools") and "tools" not in able:
            raise Refused(400, f"registry.ollama.ai/library/{body['model']} does not support tools")
        if body.get("think") and "thinking" not in able:
            raise Refused(400, f'"{body["model"]}" does not support thinking')
        if self.pending >= self.room:
            raise Refused(503, "server busy, please try again.  maximum pending requests exceeded")
        self.pending += 1
        self.log["most"] = max(self.log["most"], self.pending)
        try:
            async with self.running, aclosing(self._complete(name, body)) as parts:
                async for part in parts:
                    yield part
        except (asyncio.CancelledError, GeneratorExit):  # while it writes, or while it is read
            self.log["cancelled"] += 1
            raise
        finally:
            self.pending -= 1

    async def _complete(self, name: str, body: Body) -> AsyncGenerator[Body, None]:
        options = body.get("options", {})
        num_ctx = await self._load(name, options.get("num_ctx"), body.get("keep_alive", "5m"))
        if not body.get("messages"):
            yield self._part(body, {"content": ""}) | {"done": True, "done_reason": "load"}
            return
        knows_truncate = self.version >= (0, 12, 6)
        cut = body.get("truncate", True) or not knows_truncate
        tokens = await self._prompt(body, num_ctx if cut else 0)
        if len(tokens) > num_ctx and not cut:
            said = (
                f"request ({len(tokens)} tokens) exceeds the available context size ({num_ctx} "
                "tokens), try increasing it"
            )
            # Its runner's answer, passed on as it is.
            raise Refused(400, json.dumps({"error": {"code": 400, "message": said}}))
        if len(tokens) > num_ctx:
            tokens = tokens[:4] + tokens[len(tokens) - num_ctx + 4 :]
        predict = options.get("num_predict", -1)
        if not (body.get("shift", True) or not knows_truncate):
            predict = min(predict if predict > 0 else num_ctx, max(1, num_ctx - len(tokens)))
        asked = {
            "prompt": tokens,
            "n_predict": predict,
            "temperature": options.get("temperature", 0.8),
            "top_p": options.get("top_p", 0.9),
            "top_k": options.get("top_k", 40),
            "min_p": options.get("min_p", 0.0),
            "seed": options.get("seed", -1),
            "stop": options.get("stop", []),
            "stream": True,
        }
        if isinstance(body.get("format"), dict):
            # Ollama's grammars allow few blanks; this llama.cpp's would allow them without end.
            flexible = {"x-guidance": {"whitespace_flexible": False}}
            asked["json_schema"] = body["format"] | flexible
        written, last = "", {}
        async with self.session.post(f"{self.llama}/completion", json=asked) as answer:
            if answer.status != 200:
                raise Refused(answer.status, await answer.text())
            async for line in answer.content:
                if not line.startswith(b"data: "):
                    continue
                piece = json.loads(line[6:])
                if "error" in piece:
                    raise Refused(500, str(piece["error"]))
                written += piece["content"]
                if piece["content"] and not body.get("tools"):
                    yield self._part(body, {"content": piece["content"]})
                if piece["stop"]:
                    last = piece
        for message in self._read(written) if body.get("tools") else []:
            yield self._part(body, message)
        timings = last["timings"]
        yield self._part(body, {"content": ""}) | {
            "done": True,
            "done_reason": "length" if last["stop_type"] == "limit" else "stop",
            "prompt_eval_count": len(tokens),
            "prompt_eval_cached_count": timings["cache_n"],
            "eval_count": timings["predicted_n"],
        }

    async def _load(self, name: str, wanted: int | None, keep_alive: str | float) -> int:
        """Another window than before means loading again, as with Ollama."""
        self.unload_idle()
        num_ctx = min(
            wanted or MODELS[name].get("num_ctx") or 4096,  # Ollama's small default
            await self.trained_context(),
        )
        if num_ctx > MODELS[name].get("fits", num_ctx):
            raise Refused(
                500, "model requires more system memory (43.9 GiB) than is available (5.2 GiB)"
            )
        if self.loaded.get(name, (0, 0.0))[0] != num_ctx:
            self.log["loads"].append([name, num_ctx])
        keep = seconds(keep_alive)
        self.loaded[name] = (num_ctx, time.monotonic() + (keep if keep >= 0 else 1e9))
        return num_ctx

    async def _prompt(self, body: Body, limit: int) -> list[int]:
        """The tokens of the conversation; with a limit, without the oldest messages beyond it."""
        messages = [_render(message) for message in body["messages"]]
        if body.get("tools"):
            names = "\n".join(f"{tool['function']['name']}(…)" for tool in body["tools"])
            messages[0]["content"] += f"\n\n{names}"
        system = [message for message in messages if message["role"] == "system"]
        rest = [message for message in messages if message["role"] != "system"]
        tokens = await self._tokenise(messages)
        while limit and len(tokens) > limit and len(rest) > 1:
            rest = rest[1:]
            tokens = await self._tokenise(system + rest)
        return tokens

    async def _tokenise(self, messages: list[Body]) -> list[int]:
        async with self.session.post(
            f"{self.llama}/apply-template", json={"messages": messages}
        ) as answer:
            prompt = (await answer.json())["prompt"]
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        async with self.session.post(f"{self.llama}/tokenize", json=asked) as answer:
            return list((await answer.json())["tokens"])

    def _read(self, written: str) -> list[Body]:
        """A turn told apart: each call in a message of its own, or the text if there is none."""
        from callsmith.reading import read_calls

        calls, _ = read_calls(written, {})
        messages = []
        for call in calls:
            told: Body = {"function": {"name": call.name, "arguments": call.arguments}}
            if self.version >= (0, 12, 0):
                told["id"] = "call_" + "".join(random.choices(string.ascii_lowercase, k=8))
            messages.append({"content": "", "tool_calls": [told]})
        return messages or [{"content": written}]

    def _part(self, body: Body, message: Body) -> Body:
        return {
            "model": body["model"],
            "created_at": "2025-11-01T00:00:00Z",
            "message": {"role": "assistant", **message},
            "done": False,
        }


def _render(message: Body) -> Body:
    """Calls as the model writes them: what Ollama's templates are for."""
    from callsmith.chain import Call
    from callsmith.functions import format_call

    calls = [
        format_call(Call(call["function"]["name"], call["function"]["arguments"]))
        for call in message.get("tool_calls", [])
    ]
    lines = [*filter(None, [message.get("content", "")]), *calls]
    return {"role": message["role"], "content": "\n".join(lines)}
