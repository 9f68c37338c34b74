"""One event loop that outlives all others.

Clients of chat models keep their connections from turn to turn, and some share them with every
other model of the process; a connection is of no use in another loop than the one it was opened
in. Each command and each `callsmith.solve` has a loop of its own, which ends with it: so there the
models are asked in this one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_lasting_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Await it there. It is cancelled when the caller is, and sees the caller's context."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, _lasting_loop()))


def called_back_here(callback: Callable[[str], None]) -> Callable[[str], None]:
    """The callback, to be called from the other loop, and run in the caller's, in order."""
    here = asyncio.get_running_loop()

    def call(text: str) -> None:
        here.call_soon_threadsafe(callback, text)

    return call


@cache
def _lasting_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="callsmith-langchain", daemon=True).start()
    return loop
