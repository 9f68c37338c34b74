from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from callsmith.backends import split_url
from callsmith.configs import RolloutConfig
from callsmith.errors import ContextOverflow, RateLimited, Rejected, Unavailable
from callsmith.serving import (
    YEAR,
    find_proxy,
    is_loopback,
    refusal,
    seconds_to_wait,
    split_reasoning,
)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "slow down", RateLimited),
        (408, "took too long", Unavailable),
        (500, "boom", Unavailable),
        (503, "Loading model", RateLimited),
        (529, "overloaded", Unavailable),
        (
            400,
            "This model's maximum context length is 4096 tokens, you asked 5000",
            ContextOverflow,
        ),
        (400, "the request exceeds the available context size (2048)", ContextOverflow),
        (500, "the request exceeds the available context size, try increasing it", ContextOverflow),
        (400, "max_tokens is too large: 100000", Rejected),
        (400, "invalid temperature", Rejected),
        (401, "invalid key", Rejected),
        (403, "not allowed", Rejected),
        (404, "no such model", Rejected),
        (422, "messages: field required", Rejected),
    ],
)
def test_a_status_says_who_must_act(status: int, message: str, kind: type[Exception]) -> None:
    assert type(refusal(status, message)) is kind


def test_retry_after_is_read_in_seconds_or_as_a_date() -> None:
    assert seconds_to_wait("2.5") == 2.5
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wait = seconds_to_wait(later)
    assert wait is not None
    assert 3000 < wait <= 3600
    assert seconds_to_wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_to_wait("-5") == 0
    for nothing in ("", "soon", "nan", "inf"):
        assert seconds_to_wait(nothing) is None
    assert seconds_to_wait("1e300") == YEAR, "a date that is none can't be shown"
    busy = refusal(429, "busy", "7")
    assert isinstance(busy, RateLimited)
    assert busy.retry_after == 7


@pytest.mark.parametrize(
    ("text", "reasoning", "rest"),
    [
        ("<think>\nTwo and two.\n</think>\n\nadd(2, 2)", "Two and two.", "add(2, 2)"),
        ("Two and two.</think>add(2, 2)", "Two and two.", "add(2, 2)"),
        ("<think>Hm, so what is", "Hm, so what is", ""),
        ("<think></think>add(2, 2)", "", "add(2, 2)"),
        ("add(2, 2)", "", "add(2, 2)"),
    ],
)
def test_thoughts_stand_apart_from_the_answer(text: str, reasoning: str, rest: str) -> None:
    assert split_reasoning(text) == (reasoning, rest)


def test_this_machine_is_known_by_all_its_names() -> None:
    for here in (
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
        "http://[::1]:8000",
        "http://127.9.9.9",
    ):
        assert is_loopback(here)
    for elsewhere in (
        "https://api.openai.com/v1",
        "http://10.0.0.1",
        "http://localhost.example.com",
    ):
        assert not is_loopback(elsewhere)


def test_a_url_is_split_off_where_it_begins() -> None:
    assert split_url("llama3.1:70b") == ("llama3.1:70b", "")
    assert split_url("org/m@v2@http://h:1/v1") == ("org/m@v2", "http://h:1/v1")
    assert split_url("@https://h/v1") == ("", "https://h/v1")
    with pytest.raises(Rejected, match="password"):
        split_url("m@https://me:secret@h/v1")


@pytest.mark.parametrize(
    "query",
    [
        *("api-key=K1", "key=K1", "a=b&API_KEY=K1", "access_token=K1", "X-Amz-Signature=K1"),
        *("code=K1", "sig=K1", "subscription-key=K1", "api%2Dkey=K1", "v=1;token=K1", "#key=K1"),
    ],
)
def test_a_key_in_a_url_is_refused_and_not_shown(query: str) -> None:
    """The name of a model is recorded with every chain, and shown."""
    with pytest.raises(Rejected, match=r"must not hold a key.* key_env=VARIABLE") as raised:
        split_url(f"m@https://h/v1?{query}")
    assert "K1" not in str(raised.value)
    with pytest.raises(Rejected, match="must not hold a key"):  # before anything is made with it
        RolloutConfig(task="t", model=f"openai:m@https://h/v1?{query}", run="r")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x@127.0.0.1:8461", "write @http://127.0.0.1:8461"),
        ("openai@127.0.0.1:8461/v1", "write @http://127.0.0.1:8461/v1"),
        ("org/m:7b@gpu-box:8000/v1", "write @http://gpu-box:8000/v1"),
        ("x@localhost", "write @http://localhost"),
        ("x@[::1]:80", "write @http://[::1]:80"),
        ("x@ftp://me:secret@foo", "begins with http:// or https://, not ftp://"),
    ],
)
def test_an_address_that_is_no_url_is_not_taken_for_a_models_name(name: str, sentence: str) -> None:
    """The request would go to the default server: to OpenAI, say."""
    with pytest.raises(Rejected) as raised:
        split_url(name)
    assert str(raised.value).endswith(sentence)


@pytest.mark.parametrize("name", ["org/m@v2", "m@v2:8b", "m@sha256:0123abcd", "a.b:factory@x"])
def test_a_models_name_may_have_an_at(name: str) -> None:
    assert split_url(name) == (name, "")
    assert split_url(f"{name}@HTTP://h/v1") == (name, "HTTP://h/v1")


def test_a_query_that_is_no_secret_stays() -> None:
    name = "m@https://h/v1?api-version=2024-10-21&region=eu"
    assert split_url(name) == ("m", name[2:])


def test_no_proxy_stands_before_a_server_on_this_machine_or_one_in_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "intern.example.org")
    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        assert find_proxy(url) is None
    assert find_proxy("http://gpu.intern.example.org:8000/v1") is None
    proxy = find_proxy("http://models.example.org/v1")
    assert proxy
    assert proxy.url == "http://proxy.example.org:3128"
    monkeypatch.setenv("ALL_PROXY", "other.example.org:3128")
    assert find_proxy("http://models.example.org/v1") == proxy
    for_all = find_proxy("https://models.example.org/v1")
    assert for_all
    assert for_all.named == "http://other.example.org:3128 (named by ALL_PROXY)"
    monkeypatch.setenv("http_proxy", "socks5://me:hidden@proxy.example.org")
    with pytest.raises(
        Rejected, match=r"socks5://proxy.example.org \(http_proxy\) is none for HTTP"
    ):
        find_proxy("http://models.example.org/v1")
