"""Where the server is: OLLAMA_HOST in all its forms, proxies, certificates."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from ollama_shim import Shim

from callsmith.errors import Rejected, Unavailable
from callsmith_ollama.backend import open_backend
from callsmith_ollama.client import read_address


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("10.1.2.3", "http://10.1.2.3:11434"),
        ("example.com:56789", "http://example.com:56789"),
        (":56789", "http://127.0.0.1:56789"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com:56789/path/", "https://example.com:56789/path"),
        ("[::1]:56789", "http://[::1]:56789"),
        # What a server listens on is what many people set for clients, too.
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:56789", "http://127.0.0.1:56789"),
        ("[::]:56789", "http://[::1]:56789"),
    ],
)
def test_addresses_have_many_forms(given: str, url: str) -> None:
    assert read_address(given) == url


@pytest.mark.parametrize("given", ["http://example.com:http", "http://[::1", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", given)
    with pytest.raises(Rejected, match="is no address of a server"):
        open_backend("tiny")


async def test_the_environment_says_where_it_is(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f":{shim.port}")
    backend = open_backend("tiny")
    await backend.prepare()
    await backend.close()
    assert backend.name == "ollama:tiny"


async def test_a_url_in_the_name_goes_before_it_and_tags_stay_in_the_name(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    backend = open_backend(f"tiny:latest@{shim.url}")
    await backend.prepare()
    await backend.close()
    assert backend.name == "ollama:tiny:latest"


async def test_this_machine_is_not_asked_through_a_proxy(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    backend = open_backend(f"tiny@{shim.url}")
    await backend.prepare()
    await backend.close()


@pytest.mark.parametrize(
    "broken",
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("http_proxy", "foo://bar"),
        ("OLLAMA_HOST", "http://127.0.0.1:99999"),
        ("SSL_CERT_FILE", "/tmp/there/is/none"),
    ],
)
def test_what_is_wrong_in_the_environment_is_nothing_to_a_server_on_this_machine(
    shim: Shim, broken: tuple[str, str]
) -> None:
    """The ollama package fails on it as soon as it is imported: so in a process of its own."""
    command = [sys.executable, "-m", "callsmith", "models", f"ollama@{shim.url}"]
    environment = {**os.environ, **dict([broken])}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "tiny" in ran.stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", r"socks5://127.0.0.1:9 \(ALL_PROXY\) is none for"),
        ("https_proxy", "foo://bar", r"foo://bar \(https_proxy\) is none for HTTP"),
        ("SSL_CERT_FILE", "/there/is/none", "SSL_CERT_FILE names /there/is/none, which can't be"),
    ],
)
def test_what_is_wrong_in_the_environment_is_said_of_a_server_elsewhere(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Rejected, match=sentence):
        open_backend("tiny@https://models.example.org")


@pytest.mark.parametrize(
    ("answer", "url", "kind", "sentence"),
    [
        (
            "403 Forbidden",
            "https://h.example.org",
            Rejected,
            "{proxy} lets nobody through to https",
        ),
        ("503 Busy", "https://h.example.org", Unavailable, "{proxy} lets nobody through to"),
        ("407 No", "https://h.example.org", Rejected, "{proxy} wants a password: write it into"),
        ("407 No", "http://h.example.org", Rejected, "{proxy} wants a password: write it into"),
        (
            "503 Busy",
            "http://h.example.org",
            Unavailable,
            "status 503, asked through {proxy}; if that is the proxy speaking",
        ),
        ("", "http://h.example.org", Unavailable, "h.example.org:80, asked through {proxy} broke"),
        (None, "http://h.example.org", Unavailable, "{proxy} can't be reached: mend it, or put"),
    ],
)
async def test_a_proxy_that_fails_is_named_and_its_password_is_not(
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    url: str,
    kind: type[Exception],
    sentence: str,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer:
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if answer is None:
        server.close()
    monkeypatch.setenv("ALL_PROXY", f"http://me:hidden@127.0.0.1:{port}")
    backend = open_backend(f"tiny@{url}")
    with pytest.raises(kind) as raised:
        await backend.prepare()
    await backend.close()
    server.close()
    proxy = f"the proxy http://127.0.0.1:{port} (named by ALL_PROXY)"
    assert sentence.format(proxy=proxy) in str(raised.value)
    assert "hidden" not in str(raised.value)


async def test_a_self_signed_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    name = f"tiny@https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        backend = open_backend(name)
        with pytest.raises(Rejected, match="set SSL_CERT_FILE"):
            await backend.prepare()
        await backend.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        backend = open_backend(name)
        with pytest.raises(Unavailable, match="status 503"):  # it is trusted, and answers
            await backend.prepare()
        await backend.close()
