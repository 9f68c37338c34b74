from __future__ import annotations

import subprocess
import sys

import pytest

from callsmith.errors import PluginError
from callsmith_mcp.address import read_address
from callsmith_mcp.pack import function_name


def test_a_command_is_read_as_a_shell_reads_it() -> None:
    address = read_address("python 'my server.py' --root \"a b\"")
    assert address.command == ("python", "my server.py", "--root", "a b")
    assert not address.url
    assert not address.tools


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    address = read_address("https://me:secret@example.org/mcp?key=secret#add,sub")
    assert address.url == "https://me:secret@example.org/mcp?key=secret"
    assert address.label == "https://example.org/mcp"
    assert address.tools == ("add", "sub")


def test_settings_take_variables_and_stay_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret")
    command = read_address("TOKEN=$MY_TOKEN PLAIN=a=b npx -y server --flag=x")
    assert command.settings == {"TOKEN": "s3cret", "PLAIN": "a=b"}
    assert command.command == ("npx", "-y", "server", "--flag=x")
    url = read_address('Authorization="Bearer ${MY_TOKEN}" http://127.0.0.1:1/mcp')
    assert url.settings == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in f"{command!r} {url!r}"


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("python server.py#add", ("add",)),
        ("python server.py #text.shout-it,add", ("text.shout-it", "add")),
        ("run '#not a tool'", ()),
    ],
)
def test_tools_are_named_after_a_hash(text: str, tools: tuple[str, ...]) -> None:
    assert read_address(text).tools == tools


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "followed by a command or a URL"),
        ("A=b", "followed by a command or a URL"),
        ("python 'server.py", "No closing quotation"),
        ("https://example.org/mcp more", "nothing may follow it"),
        ("A=$NO_SUCH_VARIABLE python server.py", "no such variable"),
    ],
)
def test_a_bad_address_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        read_address(text)


def test_names_are_made_such_that_a_model_can_write_them() -> None:
    assert function_name("text.shout-it") == "text_shout_it"
    assert function_name("2nd/part") == "_2nd_part"
    assert function_name("x" * 200) == "x" * 64


def test_nothing_heavy_is_imported_before_a_server_is_opened() -> None:
    code = (
        "import sys, callsmith_mcp.plugin, callsmith_mcp.pack;"
        "print(sorted({'mcp', 'httpx2', 'anyio', 'jsonschema'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
