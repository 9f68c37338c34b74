"""Packs that an address opens, installed as a distribution would be."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from callsmith.calls import FunctionFault, run_call
from callsmith.chain import Call
from callsmith.discovery import Found, _load
from callsmith.errors import PluginError, Unavailable
from callsmith.functions import Context, Function
from callsmith.isolation import Workers
from callsmith.plugins import Registry

ROOMS = """
from callsmith.functions import AddressedPack, FunctionPack, function
from callsmith.hookspecs import hookimpl

LOG = []

def open_room(address):
    if address == "cellar":
        raise OSError("the key is lost")
    LOG.append(f"open {address}")

    @function(inline=True)
    def enter(times: int) -> str:
        '''Enter the room.'''
        return f"{address} {times}"

    def close():
        LOG.append(f"close {address}")
        if address == "attic":
            raise OSError("it jams")

    return FunctionPack(address, [enter], close)

rooms = AddressedPack("the name of a room", open_room)

@hookimpl
def callsmith_functions():
    return {"room": "rooms:rooms"}
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "rooms.py").write_text(ROOMS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "rooms", raising=False)
    return Registry(Found([_load(EntryPoint("rooms", "rooms", "callsmith"), "x-rooms", "1")]))


def log() -> list[str]:
    import rooms  # type: ignore[import-not-found]

    entries: list[str] = rooms.LOG
    return entries


def test_an_address_is_opened_once_and_closed_with_the_last_that_uses_it(
    registry: Registry,
) -> None:
    with registry.keeping_packs_open():
        with registry.keeping_packs_open():
            function = registry.functions(["room:the kitchen. or not"])["enter"]
        assert registry.functions(["room:the kitchen. or not"])["enter"] is function
        assert function.qualified_name == "room.enter"
        assert function(2) == "the kitchen. or not 2"
        assert log() == ["open the kitchen. or not"]
    assert log()[1:] == ["close the kitchen. or not"]
    registry.functions(["room:the kitchen. or not"])
    assert log()[2:] == ["open the kitchen. or not"]


def test_a_pack_that_fails_to_close_is_logged(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with registry.keeping_packs_open():
        registry.functions(["room:attic"])
        registry.opened_pack("room:hall")
    assert "room:attic failed to close: OSError: it jams" in caplog.text
    assert log()[-2:] == ["close attic", "close hall"]


def test_functions_of_two_addresses_are_told_apart(registry: Registry) -> None:
    with pytest.raises(PluginError, match="enter of 'room:a' and room"):
        registry.functions(["room:a", "room:b"])


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("room.*", "room is written room:ADDRESS: the name of a room"),
        ("room:cellar", "'room' of plugin x-rooms 1 can't be used: OSError: the key is lost"),
        ("hall:x", "there is no function pack 'hall'"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(registry: Registry, ref: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        registry.functions([ref])


def keeper(error: BaseException | None) -> Function:
    async def target() -> str:
        await asyncio.sleep(0.05)
        if error:
            raise error
        return "in the end"

    return Function("wait", "Wait.", {"type": "object"}, target, timeout=0.01, keeps_time=True)


async def test_a_function_may_keep_its_time_itself() -> None:
    slow = FunctionFault("timeout", "wait took too long")
    async with Workers() as workers:
        for error, kind in [(None, None), (slow, "timeout")]:
            function = keeper(error)
            result = await run_call(Call("wait", {}), {"wait": function}, Context(), workers)
            assert (result.fault.kind if result.fault else None) == kind


async def test_a_functions_server_that_is_away_is_no_fault() -> None:
    functions = {"wait": keeper(Unavailable("the server is away"))}
    async with Workers() as workers:
        with pytest.raises(Unavailable, match="the server is away"):
            await run_call(Call("wait", {}), functions, Context(), workers)
