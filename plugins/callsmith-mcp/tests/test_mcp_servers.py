"""Real servers, written with the official SDK (tests/support/mcp_server.py), on stdio and HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import mcp_server
import pytest
from background import Background
from click.testing import CliRunner

from callsmith.calls import run_call
from callsmith.chain import JSON, Call, Result
from callsmith.cli import callsmith
from callsmith.discovery import discover
from callsmith.errors import PluginError, Unavailable
from callsmith.functions import Context, Function, functions_hash
from callsmith.isolation import Workers
from callsmith.plugins import Registry
from callsmith_mcp import connection
from callsmith_mcp.pack import schema_fault

STDIO = f"mcp:{shlex.join([sys.executable, mcp_server.__file__])}"


def new_registry() -> Registry:
    """One that shares no open pack with the others."""
    return Registry(discover(metadata.distributions(), "0.1.0"))


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A busy machine is no failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "START_SECONDS", 600.0)
        patch.setattr(connection, "CALL_SECONDS", 600.0)
        yield


@pytest.fixture(scope="module")
def functions() -> Iterator[dict[str, Function]]:
    registry = new_registry()
    with registry.keeping_packs_open():
        yield registry.functions([STDIO])


@pytest.fixture
def server() -> Iterator[Background]:
    with Background(mcp_server.__file__, ["--http"]) as background:
        yield background


def call(functions: dict[str, Function], name: str, /, **arguments: JSON) -> Result:
    return calls(functions, (name, arguments))[0]


def calls(functions: dict[str, Function], *wanted: tuple[str, dict[str, JSON]]) -> list[Result]:
    """Calls at the same time, as those of many chains."""

    async def work() -> list[Result]:
        async with Workers() as workers:
            return await asyncio.gather(
                *(run_call(Call(n, a), functions, Context(), workers) for n, a in wanted)
            )

    return asyncio.run(work())


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_dead(pid: int) -> None:
    while is_alive(pid):
        time.sleep(0.02)


def test_tools_are_functions_with_their_own_schemas(functions: dict[str, Function]) -> None:
    add = functions["add"]
    assert add.qualified_name == "mcp.add"
    assert add.description == "Add two whole numbers."
    assert add.parameters["properties"]["a"]["type"] == "integer"  # type: ignore[index,call-overload]
    assert add.signature == "add(a: integer, b: integer)"
    assert call(functions, "add", a=2, b=3).value == 5
    # A name that no model could write in a call.
    assert call(functions, "text_shout_it", text="hi", times=2).value == ["HI", "HI"]


def test_arguments_are_held_against_the_schema_before_the_call(
    functions: dict[str, Function],
) -> None:
    fault = call(functions, "add", a="two", b=3).fault
    assert fault
    assert fault.kind == "bad_arguments"
    assert "Usage: add(a: integer, b: integer)" in fault.message


def test_a_tools_error_is_a_fault_in_one_sentence(functions: dict[str, Function]) -> None:
    fault = call(functions, "divide", a=1, b=0).fault
    assert fault
    assert fault.kind == "function_error"
    assert fault.message.startswith("divide: ")
    assert fault.message.endswith("nothing can be divided by zero")


def test_pictures_are_described_and_long_texts_cut(functions: dict[str, Function]) -> None:
    assert call(functions, "draw", size=3000).value == "[image: image/png, 3,000 bytes]"
    result = call(functions, "long_text", characters=100_000)
    assert result.note == "result cut"
    assert len(str(result.value)) < 4_100


def test_one_server_serves_all_calls_at_once(functions: dict[str, Function]) -> None:
    counted = calls(functions, *[("count", {})] * 20)
    values = [result.value for result in counted]
    assert sorted(values) == list(range(min(values), min(values) + 20))  # type: ignore[type-var,operator]


def test_a_call_that_is_too_slow_is_stopped_and_the_server_stays(
    functions: dict[str, Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = call(functions, "process", child=False).value
    monkeypatch.setattr(connection, "CALL_SECONDS", 0.2)
    fault = call(functions, "sleep", seconds=2.0).fault
    assert fault
    assert fault.kind == "timeout"
    assert "took longer than 0.2 s" in fault.message
    monkeypatch.undo()
    assert call(functions, "process", child=False).value == before


def test_a_server_sees_no_variable_but_those_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "s3cret")
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    registry = new_registry()
    address = STDIO.removeprefix("mcp:")
    with registry.keeping_packs_open():
        functions = registry.functions([f"mcp:GIVEN=$MY_SECRET {address}#variable"])
        assert list(functions) == ["variable"]
        assert call(functions, "variable", name="GIVEN").value == "s3cret"
        assert call(functions, "variable", name="OPENAI_API_KEY").value == ""


def test_a_server_that_dies_is_started_again_and_the_call_made_once_more(
    functions: dict[str, Function], tmp_path: Path
) -> None:
    before = call(functions, "process", child=False).value
    assert call(functions, "die_once", marker=str(tmp_path / "marker")).value == "alive"
    after = call(functions, "process", child=False).value
    assert before != after


def test_only_the_call_that_kills_its_server_is_at_fault(functions: dict[str, Function]) -> None:
    results = calls(
        functions, ("die", {}), *[("sleep", {"seconds": 0.1})] * 6, ("add", {"a": 1, "b": 1})
    )
    assert results[0].fault
    assert results[0].fault.kind == "crash"
    assert [result.value for result in results[1:]] == ["woke up"] * 6 + [2]


def test_http_servers_that_are_restarted_are_reached_again(server: Background) -> None:
    registry = new_registry()
    with registry.keeping_packs_open():
        functions = registry.functions([f"mcp:{server.root}/mcp#add,process"])
        assert list(functions) == ["add", "process"]
        assert call(functions, "add", a=2, b=3).value == 5
        before = call(functions, "process", child=False).value
        server.kill()
        server.start()
        assert call(functions, "process", child=False).value != before


def test_a_server_that_stays_away_is_nobodys_mistake(
    server: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))
    registry = new_registry()
    with registry.keeping_packs_open():
        functions = registry.functions([f"mcp:{server.root}/mcp"])
        server.kill()
        with pytest.raises(Unavailable, match=f"{server.root}/mcp can't be used"):
            call(functions, "add", a=2, b=3)


def test_it_is_closed_with_the_last_that_uses_it() -> None:
    registry = new_registry()
    with registry.keeping_packs_open():
        with registry.keeping_packs_open():
            pid = call(registry.functions([STDIO]), "process", child=False).value
        assert isinstance(pid, int)
        assert call(registry.functions([STDIO]), "process", child=False).value == pid
    assert not is_alive(pid)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_program_takes_its_servers_and_their_children_with_it() -> None:
    code = f"""
import asyncio, time
from callsmith.plugins import load_registry
functions = load_registry().functions([{STDIO!r}])
print(*[asyncio.run(functions["process"].target(child=c)) for c in (False, True)], flush=True)
asyncio.run(functions["sleep"].target(seconds=600))
"""
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout
    server, child = map(int, program.stdout.readline().split())
    assert is_alive(server)
    assert is_alive(child)
    os.kill(program.pid, signal.SIGKILL)
    program.communicate()
    wait_until_dead(server)
    wait_until_dead(child)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("mcp:no-such-command x", "no-such-command: No such file"),
        (f"mcp:{sys.executable} -c 1/0", "division by zero"),
        (f"{STDIO}#ad", "has no tool 'ad'; did you mean add"),
        ("mcp:http://127.0.0.1:9/mcp", "http://127.0.0.1:9/mcp can't be used"),
    ],
)
def test_a_server_that_cannot_be_had_is_one_sentence(ref: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        new_registry().functions([ref])


def test_a_tool_that_no_call_can_be_held_against_is_refused_by_name(tmp_path: Path) -> None:
    bad: JSON = {"type": "object", "properties": {"a": {"type": "nonsense"}}}
    ref = raw_server(tmp_path, {"good": {"type": "object"}, "bad": bad})
    registry = new_registry()
    with pytest.raises(PluginError, match=r"the tool bad of .* its schema is not valid"):
        registry.functions([ref])
    with registry.keeping_packs_open():
        assert list(registry.functions([f"{ref}#good"])) == ["good"]


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"properties": {"a": {"pattern": "("}}}, "is not valid"),
        ({"properties": {"a": {"items": [{}]}}}, "is not valid"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "refers to '#/$defs/A'"),
        ({"properties": {"a": {"$ref": "http://a.b/c"}}}, "refers to 'http://a.b/c'"),
        ({"type": "array"}, "is not one of an object"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}, ""),
        ({"$id": "http://a.b/c", "$ref": "#/$defs/A", "$defs": {"A": True}}, ""),
        ({"properties": {"a": {"$ref": "#/definitions/A"}}, "definitions": {"A": {}}}, ""),
        ({"properties": {"$ref": {"type": "string"}}}, ""),
    ],
)
def test_schemas_are_looked_at_and_nothing_is_fetched(schema: dict[str, JSON], fault: str) -> None:
    assert schema_fault(schema).startswith(fault) if fault else schema_fault(schema) == ""


def test_schemas_of_any_shape_are_shown(tmp_path: Path) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n/node"}, "any": True}}
    schema: JSON = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"first": {"$ref": "#/$defs/n/node"}, "rest": {"$ref": "#/$defs/list"}},
        "$defs": {
            "n": {"node": node},
            "list": {"type": "array", "items": {"$ref": "#/$defs/list"}},
        },
    }
    registry = new_registry()
    with registry.keeping_packs_open():
        function = registry.functions([raw_server(tmp_path, {"t.a": schema})])["t_a"]
    assert function.parameters == schema
    assert "first: {next: {next: object, any: any}, any: any} = None" in function.help


def test_tools_of_one_name_are_refused_with_both_their_names(
    tmp_path: Path, server: Background
) -> None:
    registry = new_registry()
    with registry.keeping_packs_open(), pytest.raises(PluginError, match="would both be add"):
        registry.functions([f"{STDIO}#add", f"mcp:{server.root}/mcp#add"])
    twice = raw_server(tmp_path, {"a-b": {"type": "object"}, "a.b": {"type": "object"}})
    with pytest.raises(PluginError, match="two functions called a_b"):
        registry.functions([twice])


def test_the_schemas_belong_to_the_identity_and_the_address_does_not(
    functions: dict[str, Function], server: Background
) -> None:
    registry = new_registry()
    with registry.keeping_packs_open():
        served = registry.functions([f"mcp:{server.root}/mcp"])
        assert functions_hash(served.values()) == functions_hash(functions.values())
    other = replace(served["add"], parameters={"type": "object"})
    assert functions_hash([*served.values(), other]) != functions_hash(functions.values())


def test_ask_solves_with_an_mcp_servers_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "scripted_model.py"
    script.write_text(
        "from langchain_core.language_models.fake_chat_models import GenericFakeChatModel\n"
        "from langchain_core.messages import AIMessage\n"
        "def make():\n"
        "    turns = ['add(a=40, b=2)', 'answer(value=42)']\n"
        "    return GenericFakeChatModel(messages=iter(map(AIMessage, turns)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked = ["ask", "What is 40 and 2?", "-m", "langchain:scripted_model:make", "--json"]
    asked += ["--dialect", "text", "-f", f"{STDIO}#add", "--home", str(tmp_path)]
    result = CliRunner().invoke(callsmith, asked, catch_exceptions=False)
    chain = json.loads(result.stdout)
    assert chain["answer"] == 42
    assert chain["steps"][0]["results"][0]["value"] == 42
    assert chain["setup"]["plugins"]["callsmith-mcp"]


def raw_server(folder: Path, tools: dict[str, JSON]) -> str:
    """A server whose tools have just these schemas, which the SDK's decorators would not make."""
    script = folder / "raw_server.py"
    script.write_text(
        "import anyio, mcp_types as t\n"
        "from mcp.server.lowlevel import Server\n"
        "from mcp.server.stdio import stdio_server\n"
        f"tools = [t.Tool(name=n, input_schema=s) for n, s in {tools!r}.items()]\n"
        "async def listed(context, params):\n"
        "    return t.ListToolsResult(tools=tools)\n"
        "async def main():\n"
        "    server = Server('raw', on_list_tools=listed)\n"
        "    async with stdio_server() as streams:\n"
        "        await server.run(*streams, server.create_initialization_options())\n"
        "anyio.run(main)\n"
    )
    return f"mcp:{shlex.join([sys.executable, str(script)])}"


def test_only_the_sdk_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    """Its sessions log as "client", as anybody's client may."""
    from mcp.client import session

    client = logging.getLogger("client")
    for path, text in ((session.__file__, "of the SDK"), (__file__, "of somebody else")):
        client.handle(client.makeRecord("client", logging.WARNING, path, 1, text, (), None))
    assert [record.message for record in caplog.records] == ["of somebody else"]
