"""For the tests of plugins: is what you wrote all that callsmith relies on?

A test of a backend, whole::

    from callsmith.testing import OpenAIWire, check_backend
    from callsmith_mine.backend import open_backend

    async def test_it_is_a_good_backend():
        report = await check_backend(open_backend, "m@http://127.0.0.1:8080/v1", wire=OpenAIWire())
        report.raise_if_failed()

`check_pack`, for function packs and the tasks that come with them, is as short, and needs no
``await``. `check_task` does a task alone, `check_trainer` a trainer.

`check_backend` tries a backend with a real model, and against a `FaultServer`, which does what real
servers do on bad days. `ScriptedBackend` is a model that says what the test tells it to.
"""

from callsmith.backends import ScriptedBackend
from callsmith.testing.backends import check_backend
from callsmith.testing.days import BAD_DAYS
from callsmith.testing.faults import Asked, BadDay, Exchange, FaultServer, echo
from callsmith.testing.ollama_wire import OllamaWire
from callsmith.testing.openai_wire import OpenAIWire
from callsmith.testing.packs import check_pack
from callsmith.testing.report import Check, Report
from callsmith.testing.tasks import check_task
from callsmith.testing.trainers import check_trainer
from callsmith.testing.wires import Sent, Wire

__all__ = [
    "BAD_DAYS",
    "Asked",
    "BadDay",
    "Check",
    "Exchange",
    "FaultServer",
    "OllamaWire",
    "OpenAIWire",
    "Report",
    "ScriptedBackend",
    "Sent",
    "Wire",
    "check_backend",
    "check_pack",
    "check_task",
    "check_trainer",
    "echo",
]
