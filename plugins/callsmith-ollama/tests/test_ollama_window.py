"""The window is as large as it must be, and nothing is cut in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_shim import Shim

from callsmith.backends import Request
from callsmith.chain import Fault, Sampling, Step, Usage
from callsmith.errors import ContextOverflow, Rejected
from callsmith_ollama.backend import OllamaBackend, open_backend
from callsmith_ollama.window import SMALLEST, Window


def ask(*texts: str, **fields: Any) -> Request:
    """A conversation of these turns, the user's first."""
    messages = [{"role": "system", "content": "Solve it with add(a, b)."}]
    for index, text in enumerate(texts):
        messages.append({"role": ("user", "assistant")[index % 2], "content": text})
    return replace(Request(messages, sampling=Sampling(max_tokens=16)), **fields)


LONG = "There are 12 eggs in 4 boxes. " * 400
"""Of 4,000 tokens and more to the tiny model, which reads 2,048."""


async def opened(name: str, **options: Any) -> OllamaBackend:
    backend = open_backend(name, **options)
    await backend.prepare()
    return backend


# ---- how large ----------------------------------------------------------------------------------


@given(st.integers(0, 300_000), st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**5))))
def test_the_window_grows_in_few_steps_and_never_past_the_model(
    context: int, conversations: list[tuple[int, int]]
) -> None:
    window = Window(context)
    asked = [window.fit(size, max_tokens) for size, max_tokens in conversations]
    assert asked == sorted(asked)
    assert len(set(asked)) <= 6
    assert all(num_ctx <= (context or 131_072) for num_ctx in asked)
    assert all(num_ctx >= min(SMALLEST, context or SMALLEST) for num_ctx in asked)


def test_one_that_was_given_stays_as_it_is() -> None:
    window = Window(4096, fixed=True)
    assert window.fit(10**6, 512) == 4096
    assert not window.grow(4096)


def test_what_was_counted_is_better_than_a_guess() -> None:
    window = Window(131_072)
    window.check(8192, 10_000, Usage(1_000, 10), ask("?"))  # a tenth of a token in a byte
    assert window.fit(40_000, 512) == 8192
    assert Window(131_072).fit(40_000, 512) == 32_768


async def test_the_window_is_the_models_own_if_that_is_small(shim: Shim) -> None:
    backend = await opened(f"tiny@{shim.url}")
    assert backend.capabilities.context == 2048
    await asyncio.gather(*(backend.complete(ask("How many?", seed=i)) for i in range(8)))
    await backend.close()
    assert shim.log()["loads"] == [["tiny:latest", 2048]]  # once, not Ollama's 4,096


async def test_a_window_given_by_the_user_is_what_is_asked_for(shim: Shim) -> None:
    backend = await opened(f"tiny@{shim.url}", num_ctx=1024)
    assert backend.capabilities.context == 1024
    await backend.complete(ask("How many?"))
    await backend.close()
    assert shim.log()["loads"] == [["tiny:latest", 1024]]


async def test_more_than_the_model_can_read_is_not_asked_for(shim: Shim) -> None:
    backend = await opened(f"tiny@{shim.url}", num_ctx=100_000)
    await backend.close()
    assert backend.capabilities.context == 2048


@pytest.mark.parametrize("given", [-1, "many", 1.5])
def test_a_window_that_can_not_be_is_refused(given: Any) -> None:
    with pytest.raises(Rejected, match="num_ctx is a number of tokens"):
        open_backend("tiny", num_ctx=given)


async def test_a_window_too_large_for_the_memory_says_how_to_make_it_smaller(shim: Shim) -> None:
    backend = await opened(f"tiny-hungry@{shim.url}")
    with pytest.raises(Rejected, match=r"too large for this machine .* -o num_ctx="):
        await backend.complete(ask("How many?"))
    await backend.close()
    backend = await opened(f"tiny-hungry@{shim.url}", num_ctx=512)
    assert (await backend.complete(ask("How many?"))).text
    await backend.close()


async def test_a_model_stays_loaded_between_turns(shim: Shim) -> None:
    for keep_alive, loads in (("30m", 1), (0, 3)):
        shim.forget()
        backend = await opened(f"tiny@{shim.url}", keep_alive=keep_alive)
        for _ in range(3):
            await backend.complete(ask("How many?"))
        await backend.close()
        assert len(shim.log()["loads"]) == loads


# ---- what does not fit --------------------------------------------------------------------------


async def test_what_does_not_fit_is_refused(ollama: Any) -> None:
    backend = await opened(ollama.name, num_ctx=1024)
    with pytest.raises(ContextOverflow):
        await backend.complete(ask(LONG))
    assert (await backend.complete(ask("How many eggs?"))).usage.prompt < 1024
    await backend.close()


async def test_the_window_grows_for_what_has_more_tokens_than_were_expected(shim: Shim) -> None:
    backend = await opened(f"tiny@{shim.url}")
    backend._window.num_ctx = 256  # the least is more than this model has
    turn = await backend.complete(ask("1 2 3 4 5 6 7 8 9 " * 40))
    await backend.close()
    assert 512 < turn.usage.prompt < 1024
    assert shim.log()["loads"] == [["tiny:latest", 512], ["tiny:latest", 1024]]


async def test_an_old_ollama_cuts_in_silence_but_not_from_us(
    start_shim: Callable[..., Shim],
) -> None:
    shim = start_shim(version="0.9.0")
    backend = await opened(f"tiny@{shim.url}")
    with pytest.raises(ContextOverflow, match=r"the model reads 2,048, and this Ollama would cut"):
        await backend.complete(ask(LONG))
    assert shim.log()["chats"] == []
    await backend.close()


async def test_a_prompt_cut_to_the_window_is_found_out(start_shim: Callable[..., Shim]) -> None:
    shim = start_shim(version="0.9.0")
    backend = open_backend(f"tiny@{shim.url}", num_ctx=256)
    backend._window = Window(256, fixed=True)  # as if this Ollama had said it is a newer one
    with pytest.raises(ContextOverflow, match="more than 256 tokens"):
        await backend.complete(ask(LONG))
    await backend.close()


async def test_messages_left_out_are_found_out(start_shim: Callable[..., Shim]) -> None:
    shim = start_shim(version="0.9.0")
    backend = open_backend(f"tiny@{shim.url}")
    backend._window = Window(256, fixed=True)
    first = ask("There are 12 eggs in 4 boxes. " * 20)
    turn = await backend.complete(first)
    assert turn.usage.prompt < 256
    texts = [first.messages[1]["content"], turn.text, "There are 12 eggs in 4 boxes. " * 15]
    with pytest.raises(ContextOverflow):
        await backend.complete(ask(*texts, steps=(Step(usage=turn.usage),)))
    await backend.close()


def test_a_failed_turn_that_was_taken_out_is_no_cut() -> None:
    failed = Step(fault=Fault("no_call", "?"), usage=Usage(900, 10))
    steps = (failed, Step(usage=Usage(950, 10)))
    Window(1024, fixed=True).check(1024, 4_000, Usage(930, 10), ask("?", steps=steps))
    with pytest.raises(ContextOverflow):
        Window(1024, fixed=True).check(1024, 4_000, Usage(930, 10), ask("?", steps=steps[1:]))


def test_what_was_written_past_the_end_was_written_without_the_beginning() -> None:
    with pytest.raises(ContextOverflow, match="with its answer 1,200 tokens"):
        Window(1024, fixed=True).check(1024, 4_000, Usage(1_000, 200), ask("?"))


def test_a_server_with_a_window_of_its_own_is_believed() -> None:
    Window(131_072).check(8192, 60_000, Usage(20_000, 200), ask("?"))
