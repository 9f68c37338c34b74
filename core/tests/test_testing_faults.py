"""The fault server: what it answers, what it remembers, and what it takes no nonsense about."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from callsmith.backends import Completion
from callsmith.chain import Call
from callsmith.testing import BAD_DAYS, FaultServer, OllamaWire, OpenAIWire, Sent, Wire

DAYS = {day.name: day for day in BAD_DAYS}

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}


async def ask(
    server: FaultServer, body: Mapping[str, Any] = ASK, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    url = f"http://127.0.0.1:{server.port}{server.wire.chat}"
    async with aiohttp.request("POST", url, json=dict(body), headers=headers) as response:
        return response.status, await response.text()


async def test_days_come_one_after_another_and_then_all_are_good() -> None:
    days = [DAYS["answers 500"], None, DAYS["answers 502 with a page of HTML"]]
    async with FaultServer(OpenAIWire(), days=days) as server:
        assert [(await ask(server))[0] for _ in range(5)] == [500, 200, 502, 200, 200]


async def test_what_was_sent_can_be_looked_at() -> None:
    body = ASK | {"seed": 7, "stop": "END", "top_k": 3, "max_completion_tokens": 9}
    async with FaultServer(OpenAIWire()) as server:
        await ask(server, body, {"Authorization": "Bearer abc"})
        [asked] = server.turns
        assert asked.headers["authorization"] == "Bearer abc"
        assert asked.body == body
        assert asked.sent == Sent(
            "tiny", ASK["messages"], seed=7, stop=("END",), max_tokens=9, extra={"top_k": 3}
        )


async def test_a_server_that_was_away_is_back_on_its_port() -> None:
    async with FaultServer(OpenAIWire(), days=[DAYS["goes away and comes back"]]) as server:
        with pytest.raises(aiohttp.ClientError):
            await ask(server)
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(server)
        for _ in range(200):
            try:
                status, _ = await ask(server)
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            else:
                break
        assert status == 200


async def test_a_reset_is_one_and_not_a_good_end() -> None:
    async with FaultServer(
        OpenAIWire(), days=[DAYS["resets the connection before the answer"]]
    ) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = json.dumps(ASK).encode()
        head = f"POST {server.wire.chat} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("wire", [OpenAIWire("tiny"), OllamaWire("tiny")], ids=["openai", "ollama"])
async def test_a_stream_says_what_a_whole_answer_says(wire: Wire) -> None:
    turn = Completion("Voilà: 72 😀", (Call("add", {"a": 1}, "c1"),), reasoning="Hm, well.")
    async with FaultServer(wire, lambda sent: turn) as server:
        _, whole = await ask(server, ASK | {"stream": False})
        _, streamed = await ask(server, ASK | {"stream": True})
    for said in ("Voilà", "😀", "add", "72"):
        assert said in whole
    pieces = [
        json.loads(line.removeprefix("data: "))
        for line in streamed.splitlines()
        if line and line != "data: [DONE]"
    ]
    assert len(pieces) > 5
    said = [
        piece["choices"][0]["delta"] if "choices" in piece else piece["message"] for piece in pieces
    ]
    assert "".join(part.get("content") or "" for part in said) == "Voilà: 72 😀"


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
AS_TEXT = {**CALL, "function": {"name": "add", "arguments": '{"a": 1}'}}
RESULT = {"role": "tool", "tool_call_id": "c1", "tool_name": "add", "content": "1"}


@pytest.mark.parametrize(
    ("wire", "calls", "results", "why"),
    [
        (OpenAIWire(), [CALL], [RESULT], "JSON text"),
        (OpenAIWire(), [AS_TEXT], [], "no result"),
        (OpenAIWire(), [AS_TEXT, AS_TEXT], [RESULT, RESULT], "id of its own"),
        (OpenAIWire(), [], [RESULT], "must follow a call"),
        (OllamaWire("tiny"), [AS_TEXT], [RESULT], "unmarshal"),
        (OllamaWire("tiny"), [], [RESULT], "must follow its call"),
    ],
)
async def test_what_real_servers_refuse_is_refused(
    wire: Wire, calls: list[Any], results: list[Any], why: str
) -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": calls}
    messages = [*ASK["messages"], turn, *results, {"role": "user", "content": "Go on."}]
    async with FaultServer(wire) as server:
        status, said = await ask(server, ASK | {"messages": messages, "stream": False})
        assert (status, server.turns[-1].sent) == (400, None)
        assert why in said
