"""Which server is asked, with which key, by which way; and what is said when that fails."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_stub import Stub, ask, said

from callsmith.errors import BackendError, Rejected, Unavailable
from callsmith_openai.backend import OpenAIBackend, open_backend
from callsmith_openai.keys import find_key

KEY = "sk-very-secret-1234567"


async def failure(backend: OpenAIBackend) -> BackendError:
    """What `prepare` raises."""
    try:
        with pytest.raises(BackendError) as caught:
            await backend.prepare()
    finally:
        await backend.close()
    return caught.value


# ---- keys ---------------------------------------------------------------------------------------


def test_openais_key_goes_to_openai_and_to_the_base_url_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://Gateway:4000/v1/")
    assert find_key("https://api.openai.com/v1").value == KEY
    assert find_key("https://eu.api.openai.com/v1").value == KEY
    assert find_key("http://gateway:4000/v1").value == KEY
    assert find_key("http://gateway:4001/v1").value == ""
    assert find_key("http://gateway:4000/v2").value == ""
    assert find_key("https://api.openai.com.evil.org/v1").value == ""


def test_a_key_does_not_go_to_openai_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_KEY", KEY)
    for key_env in ("", "MY_KEY"):
        with pytest.raises(Rejected, match=r"http://api.openai.com/v1 in clear: write https://"):
            find_key("http://api.openai.com/v1", key_env)


async def test_another_servers_key_is_the_one_that_key_env_names(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-itself")
    monkeypatch.setenv("MY_KEY", KEY)
    stub.answers["/v1/chat/completions"] = (200, said())
    for options, sent in (({}, None), ({"key_env": "MY_KEY"}, f"Bearer {KEY}")):
        backend = open_backend(f"m@{stub.url}/v1", **options)
        await backend.complete(ask())
        await backend.close()
        assert stub.asked[-1][2].get("Authorization") == sent


async def test_without_a_url_the_base_url_is_asked_with_its_key(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{stub.url}/v1/")
    stub.answers["/v1/chat/completions"] = (200, said())
    backend = open_backend("m")
    assert (await backend.complete(ask())).text == "hello"
    await backend.close()
    assert stub.asked[-1][2]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("variables", "name", "key_env", "sentence"),
    [
        ({}, "gpt-4.1", "", "OpenAI wants a key: put it into the variable OPENAI_API_KEY"),
        ({}, "m@http://h/v1", "NONE", "no key in the variable NONE, which key_env names"),
        ({}, "m@http://h/v1", KEY, "key_env is not the key but the name of the variable"),
        ({}, "m@http://h/v1", 1234567890, "key_env is not the key but the name of the variable"),
        ({"K": f"{KEY}\n"}, "m@http://h/v1", "K", "variable K is no key: it has a line break"),
        ({"K": f"{KEY}é"}, "m@http://h/v1", "K", "variable K is no key: it has a line break"),
    ],
)
def test_a_key_that_can_be_none_is_refused_in_a_sentence_without_it(
    variables: dict[str, str],
    name: str,
    key_env: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(Rejected) as caught:
        open_backend(name, key_env=key_env)
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_server_that_wants_a_key_is_told_of_with_the_way_to_give_it(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answers["/v1/models"] = (401, {"error": {"message": f"Incorrect API key: {KEY}"}})
    url = f"{stub.url}/v1"
    assert str(await failure(open_backend(f"m@{url}"))) == (
        f"{url} wants a key: put it into a variable and name that with -o key_env=VARIABLE"
    )
    monkeypatch.setenv("MY_KEY", KEY)
    error = await failure(open_backend(f"m@{url}", key_env="MY_KEY"))
    assert str(error) == f"{url} does not take the key in the variable MY_KEY"


async def test_a_key_that_the_server_repeats_is_not_shown(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    backend = open_backend(f"m@{stub.url}/v1", key_env="MY_KEY")
    told = []
    for status, body in (
        (400, {"error": {"message": f"{KEY} must not do that"}}),
        (403, {"detail": [{"key": KEY}]}),
        (500, {"error": f"stack trace: Bearer {KEY}"}),
        (200, {"error": {"message": KEY}}),
        (200, KEY.encode()),
    ):
        stub.answers["/v1/chat/completions"] = (status, body)
        with pytest.raises(BackendError) as caught:
            await backend.complete(ask())
        told += [str(caught.value), repr(caught.value)]
    await backend.close()
    assert "… must not do that" in told[0]
    assert KEY not in "".join([*told, repr(backend), repr(vars(backend))])


async def test_a_server_that_leads_elsewhere_is_not_followed_there(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answers["/v1/models"] = (308, {})
    error = await failure(open_backend(f"m@{stub.url}/v1"))
    assert "leads on to nowhere: write the URL it really has" in str(error)


# ---- URLs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:99999/v1", "is no URL of a server: Port out of range 0-65535"),
        ("http:///v1", "is no URL of a server: it names no host"),
        ("http://me:secret@h/v1", "a URL must not hold a user or a password"),
    ],
)
def test_a_url_that_can_be_none_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        open_backend(f"m@{url}")


async def test_a_url_without_v1_is_noticed(stub: Stub) -> None:
    stub.answers["/v1/models"] = (200, {"data": [{"id": "m"}]})
    sentence = f"the API of this server is at {stub.url}/v1: write the URL with /v1"
    for at_the_root in ((404, {"detail": "Not Found"}), (200, b"<html>"), (200, {"error": "no"})):
        stub.answers["/models"] = at_the_root
        assert str(await failure(open_backend(f"m@{stub.url}"))) == sentence


async def test_a_url_that_leads_to_no_api_is_told_of(stub: Stub) -> None:
    stub.answers["/chat/models"] = (200, b"<html>Welcome</html>")
    own = "the URL must be the API's own, which mostly ends in /v1"
    url = f"{stub.url}/chat"
    assert str(await failure(open_backend(f"m@{url}"))) == f"{url} answers with text/html: {own}"
    url = f"{stub.url}/nothing/v1"
    assert str(await failure(open_backend(f"m@{url}"))) == f"{url} says: Not Found; {own}"


async def test_the_query_of_a_url_is_sent_along_and_not_shown(stub: Stub) -> None:
    stub.answers["/v1/models"] = (500, {"error": "no"})
    stub.answers["/v1/chat/completions"] = (500, {"error": "no"})
    error = await failure(open_backend(f"m@{stub.url}/v1?api-version=hidden"))
    assert str(error) == f"{stub.url}/v1 says: no"


async def test_a_server_that_is_not_there_and_one_that_is_something_else_are_told_apart(
    listen: Callable[..., Any],
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read(1)
        writer.close()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    told = {}
    for port in (1, await listen(greet), await listen(hang_up)):
        url = f"http://127.0.0.1:{port}/v1"
        error = await failure(open_backend(f"m@{url}"))
        assert isinstance(error, Unavailable)
        told[str(error).removeprefix(f"{url} ")] = True
    assert list(told) == [
        "can't be reached (Connection refused): is the server running, and is this its port?",
        "does not answer in HTTP: is this the server's port, and is it https:// rather than http://?",
        "closed the connection without an answer: is this its port, and is it https:// rather than "
        "http://?",
    ]
    host = await failure(open_backend("m@http://callsmith.invalid/v1"))
    assert str(host) == "the host of http://callsmith.invalid/v1 can't be found: is it spelt right?"


# ---- TLS and proxies ----------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1, and its key, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    made, key = tmp_path / "made.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {made}"
    subprocess.run(command.split(), check=True, capture_output=True)
    made.write_text(made.read_text() + key.read_text())
    return made


async def test_a_self_signed_certificate_is_refused_until_it_is_named(
    listen: Callable[..., Any], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(said()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    port = await listen(serve, ssl=context)
    url = f"https://127.0.0.1:{port}/v1"
    error = await failure(open_backend(f"m@{url}"))
    assert isinstance(error, Rejected)
    assert str(error) == (
        f"the certificate of {url} is not to be trusted (self-signed certificate): if you know it, "
        "name its file in the variable SSL_CERT_FILE"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    backend = open_backend(f"m@{url}")
    assert (await backend.complete(ask())).text == "hello"
    await backend.close()


async def test_http_to_a_server_that_wants_tls_is_told_of(
    stub: Stub, listen: Callable[..., Any], certificate: Path
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    port = await listen(serve, ssl=context)
    error = await failure(open_backend(f"m@http://127.0.0.1:{port}/v1"))
    assert "is it https:// rather than http://?" in str(error)
    page = b"<html>The plain HTTP request was sent to HTTPS port</html>"  # nginx's
    stub.answers["/v1/models"] = (400, page)
    error = await failure(open_backend(f"m@{stub.url}/v1"))
    assert isinstance(error, Rejected)
    assert str(error).endswith("answers 400 Bad Request: write https:// rather than http://")


async def test_https_to_a_server_without_it_is_told_of(stub: Stub) -> None:
    url = stub.url.replace("http://", "https://")
    error = await failure(open_backend(f"m@{url}"))
    assert str(error) == f"{url} does not answer in TLS: is it http:// rather than https://?"


async def test_a_proxy_that_refuses_is_named_with_its_variable(
    listen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    port = await listen(refuse)
    monkeypatch.setenv("https_proxy", f"http://me:hidden@127.0.0.1:{port}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("MY_KEY", KEY)
    tunnel = await failure(open_backend("m@https://models.example.org/v1", key_env="MY_KEY"))
    assert isinstance(tunnel, Rejected)
    assert str(tunnel) == (
        f"the proxy http://127.0.0.1:{port} (named by https_proxy) lets nobody through to "
        "https://models.example.org/v1 (403 Forbidden): mend it, or put the server's host into "
        "NO_PROXY"
    )
    assert b"Proxy-Authorization: Basic" in heads[0]
    assert KEY.encode() not in heads[0]
    gone = await failure(open_backend("m@http://models.example.org/v1"))
    assert "the proxy http://127.0.0.1:1 (named by HTTP_PROXY) can't be reached" in str(gone)


async def test_a_plain_answer_that_may_be_the_proxys_says_so(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", stub.url)
    stub.answers["/v1/models"] = (503, b"<html>Blocked</html>")
    error = await failure(open_backend("m@http://models.example.org/v1"))
    assert str(error) == (
        f"http://models.example.org/v1, asked through {stub.url} (http_proxy), answers 503 Service "
        "Unavailable; if that is the proxy speaking, put the server's host into NO_PROXY"
    )
