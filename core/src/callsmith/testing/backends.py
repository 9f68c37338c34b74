"""The conformance kit for backends: all that callsmith relies on, tried on anybody's.

`check_backend` is the whole of it: five lines in a test of a plugin's own. The checks with a
working model are in `model_checks`; those against a server of
the kit's own in `wire_checks`, and on its bad days in `day_checks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from callsmith.backends import Backend
from callsmith.testing.day_checks import DAY_CHECKS
from callsmith.testing.model_checks import MODEL_CHECKS
from callsmith.testing.report import Check, Report, Skipped, run_check
from callsmith.testing.trial import Trial
from callsmith.testing.wire_checks import WIRE_CHECKS
from callsmith.testing.wires import Wire


async def check_backend(
    open_backend: Callable[[str], Backend],
    model: str = "",
    *,
    wire: Wire | None = None,
    secret: str = "",
    seconds: float = 120.0,
) -> Report:
    """Try all that callsmith relies on, and return what holds.

    ``open_backend`` is what the plugin registers: it opens ``model`` or ``model@URL``. ``model``
    is a working one to try it with, with ``@URL`` where its server is; without it the checks that
    need a model are skipped. ``wire`` is how its kind of server speaks: with it the backend is
    tried against a `FaultServer` on its bad days. ``secret`` is the key that the caller has put
    into the environment: it must never be shown. A check that takes longer than ``seconds`` has
    failed.
    """
    trial = Trial(open_backend, model, wire, secret)
    checks: list[Check] = []

    async def make(name: str, check: Callable[[Trial], Awaitable[None]], skip: str = "") -> None:
        attempt = partial(_skip, skip) if skip else partial(check, trial)
        checks.append(await run_check(name, attempt, seconds))

    with trial.listening():
        async with AsyncExitStack() as stack:
            if model:
                await make("the model can be opened and prepared", partial(_open, stack))
            skip = "" if trial.backend else "no model is open" if model else "no model was named"
            for name, check in MODEL_CHECKS.items():
                await make(name, check, skip)
        for name, check in (WIRE_CHECKS | DAY_CHECKS).items():
            await make(name, check, "" if wire else "no wire was given")
        await make("close() may be called twice", Trial.check_closing)
        await make("closing leaves no task behind", Trial.check_tasks)
        await make("closing leaves no socket open", Trial.check_sockets)
    await make("the key is never shown", Trial.check_secret)
    return Report(f"backend {trial.name}", tuple(checks))


async def _open(stack: AsyncExitStack, trial: Trial) -> None:
    trial.backend = await stack.enter_async_context(trial.opened(trial.spec))


async def _skip(why: str) -> None:
    raise Skipped(why)
