"""The Ollama that these tests talk to: a stand-in, or a real one.

Ollama's binary is not to be had where these tests were written, so by default they start
`ollama_shim`, which speaks Ollama's protocol in front of a real llama.cpp server. With
CALLSMITH_TEST_OLLAMA they run against the real thing; those that need the stand-in, because they
look into it or make it fail, are skipped then. The README of this plugin has the commands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from ollama_shim import Shim

REAL = os.environ.get("CALLSMITH_TEST_OLLAMA", "")


@dataclass(frozen=True)
class Served:
    """A model, and the server that has it. It takes functions."""

    url: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.model}@{self.url}"


@pytest.fixture(scope="session")
def _shim(request: pytest.FixtureRequest) -> Iterator[Shim]:
    if REAL:
        pytest.skip("only the stand-in can do this")
    llama = request.getfixturevalue("llama_server").removesuffix("/v1")
    with Shim(llama, parallel=8) as shim:
        yield shim


@pytest.fixture
def shim(_shim: Shim) -> Shim:
    """The stand-in, for tests that look into it or say what it is to do."""
    _shim.forget()
    return _shim


@pytest.fixture
def ollama(request: pytest.FixtureRequest) -> Served:
    """The real thing if there is one, else the stand-in."""
    if REAL:
        return Served(REAL, os.environ.get("CALLSMITH_TEST_OLLAMA_MODEL", "qwen3:0.6b"))
    return Served(request.getfixturevalue("shim").url, "tiny")


@pytest.fixture
def start_shim(request: pytest.FixtureRequest) -> Iterator[Callable[..., Shim]]:
    """Starts a stand-in of its own: of another version, or one to be killed."""
    if REAL:
        pytest.skip("only the stand-in can do this")
    llama = request.getfixturevalue("llama_server").removesuffix("/v1")
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Shim(llama, **options))
