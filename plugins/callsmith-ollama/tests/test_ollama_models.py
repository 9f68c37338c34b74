"""Is there an Ollama, what does it have, and what can the model do?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ollama_shim import Shim

from callsmith.backends import Capabilities
from callsmith.errors import Rejected, Unavailable
from callsmith_ollama.backend import open_backend


async def prepared(name: str, **options: Any) -> Capabilities:
    backend = open_backend(name, **options)
    try:
        await backend.prepare()
        return backend.capabilities
    finally:
        await backend.close()


async def test_a_model_that_takes_functions_gets_them(ollama: Any) -> None:
    able = await prepared(ollama.name)
    assert able.dialects == ("native", "text", "json")
    assert able.constrains == ("json",)
    assert able.context >= 2048
    assert "takes functions" in able.reason


async def test_one_that_does_not_writes_its_calls_as_text(shim: Shim) -> None:
    able = await prepared(f"tiny-text@{shim.url}")
    assert able.dialects == ("text", "json")
    assert "does not take functions" in able.reason


async def test_a_role_for_results_is_found_in_the_template_and_can_be_given(shim: Shim) -> None:
    assert (await prepared(f"tiny@{shim.url}")).tool_role
    assert not (await prepared(f"tiny@{shim.url}", tool_role=False)).tool_role


async def test_an_old_ollama_does_not_say_what_models_can(start_shim: Callable[..., Shim]) -> None:
    shim = start_shim(version="0.5.0")
    assert "native" in (await prepared(f"tiny@{shim.url}")).dialects
    assert "native" not in (await prepared(f"tiny-text@{shim.url}")).dialects


async def test_a_model_that_is_not_there_is_to_be_pulled(ollama: Any) -> None:
    with pytest.raises(Rejected, match="`ollama pull no-such-model`, or with --pull"):
        await prepared(f"no-such-model@{ollama.url}")


async def test_a_model_for_embeddings_is_refused(shim: Shim) -> None:
    with pytest.raises(Rejected, match="tiny-embeds does not chat"):
        await prepared(f"tiny-embeds@{shim.url}")


async def test_only_models_that_think_can_be_asked_to(shim: Shim) -> None:
    await prepared(f"tiny-thinks@{shim.url}", think=True)
    await prepared(f"tiny@{shim.url}", think=False)
    with pytest.raises(Rejected, match="leave out -o think"):
        await prepared(f"tiny@{shim.url}", think="low")


async def test_a_name_is_needed(shim: Shim) -> None:
    with pytest.raises(Rejected, match="name a model, as ollama:"):
        await prepared(f"@{shim.url}")


async def test_no_ollama_at_all() -> None:
    with pytest.raises(Unavailable, match=r"no Ollama at http://127.0.0.1:9: start it with"):
        await prepared("tiny@http://127.0.0.1:9")


async def test_something_else_at_the_address(llama_server: str) -> None:
    with pytest.raises(Rejected, match=r"what answers at .* is no Ollama .* without a path"):
        await prepared(f"tiny@{llama_server}")


async def test_models_are_listed_with_what_they_can(ollama: Any) -> None:
    backend = open_backend(f"@{ollama.url}")
    models = {model.name: model for model in await backend.models()}
    await backend.close()
    model = models.get(ollama.model) or models[f"{ollama.model}:latest"]
    assert model.size > 100_000
    assert model.context >= 2048
    assert model.tools is True


async def test_a_model_is_pulled_with_progress(shim: Shim) -> None:
    told: list[tuple[str, int, int]] = []
    backend = open_backend(f"tiny-far@{shim.url}")
    with pytest.raises(Rejected, match="ollama pull tiny-far"):
        await backend.prepare()
    await backend.pull(lambda *progress: told.append(progress))
    await backend.prepare()
    await backend.close()
    assert told[0] == ("pulling manifest", 0, 0)
    assert ("pulling", 1_500_000, 3_000_000) in told
    # Layer by layer, and all of them together.
    assert ("pulling", 3_001_000, 3_001_000) in told
    assert told[-1][0] == "success"


async def test_a_model_that_is_there_is_pulled_at_once(ollama: Any) -> None:
    told: list[str] = []
    backend = open_backend(ollama.name)
    await backend.pull(lambda what, done, total: told.append(what))
    await backend.close()
    assert told[-1] == "success"


async def test_a_model_that_is_nowhere_can_not_be_pulled(ollama: Any) -> None:
    backend = open_backend(f"callsmith-has-no-such-model@{ollama.url}")
    with pytest.raises(Rejected, match=r"can't fetch .*https://ollama.com/search"):
        await backend.pull(lambda *_: None)
    await backend.close()


async def test_what_is_for_other_uses_is_listed_as_such(shim: Shim) -> None:
    backend = open_backend(f"@{shim.url}")
    listed = {model.name.removesuffix(":latest"): model for model in await backend.models()}
    await backend.close()
    assert listed["tiny"].chats
    assert not listed["tiny-embeds"].chats


async def test_models_are_not_asked_of_something_else(llama_server: str) -> None:
    backend = open_backend(f"@{llama_server}")
    with pytest.raises(Rejected, match="is no Ollama"):
        await backend.models()
    await backend.close()
