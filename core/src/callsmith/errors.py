"""What goes wrong, typed by who must act.

A model's mistake is none of these: it is a Fault, recorded on the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsmith.values import readable

if TYPE_CHECKING:
    from callsmith.backends import Completion


class CallsmithError(Exception):
    """Something the user can mend. The message is one sentence: what, why, and the way out."""


class PluginError(CallsmithError):
    """A plugin is missing, broken, or says something that can't be."""


class DataError(CallsmithError):
    """A file, a task or a recipe says something that can't be."""


class StoreError(CallsmithError):
    """The store can't be read or written, or a run's name is taken by another configuration."""


class Stopped(CallsmithError):
    """The user has stopped a run. What was finished is recorded, and the same call goes on."""


class BackendError(CallsmithError):
    """A backend could not complete a conversation.

    ``waited`` is as in Completion: seconds for which the server was away before that.
    """

    waited: float = 0.0


class Unavailable(BackendError):
    """The server can't be reached or is failing: wait and try again.

    ``retry_after`` is the wait that the server asked for, in seconds, if it did; ``status`` is what
    it answered with in HTTP, 0 if it did not answer.
    """

    def __init__(self, message: str, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class RateLimited(Unavailable):
    """The server has more requests than it can take: send fewer, wait and try again."""


class Rejected(BackendError):
    """The server refuses, and will again: wrong model, key or request. The user must act."""


class ContextOverflow(BackendError):
    """The conversation is longer than the model can read. The chain ends, and says so."""


class ModelFault(BackendError):
    """The model wrote what the server can't read. Recorded and answered; the chain goes on.

    ``turn`` is what the model wrote and what it cost, as far as the server shows it.
    """

    def __init__(self, message: str, turn: Completion | None = None) -> None:
        super().__init__(message)
        self.turn = turn


def describe(error: BaseException) -> str:
    """An exception in one line for a model: its message, or its name if it has none."""
    try:
        message = readable(" ".join(str(error).split()))
    except Exception:  # it can't even say what it is
        message = ""
    return message[:300] if message else type(error).__name__
