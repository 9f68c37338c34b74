"""All that callsmith relies on, by its own kit: on a working model, and on a server's bad days."""

from __future__ import annotations

from typing import Any

import pytest

from callsmith.testing import OllamaWire, check_backend
from callsmith_ollama.backend import open_backend


async def test_it_is_a_good_backend(ollama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-very-secret-1234567")
    report = await check_backend(
        open_backend, ollama.name, wire=OllamaWire(), secret="sk-very-secret-1234567"
    )
    report.raise_if_failed()
