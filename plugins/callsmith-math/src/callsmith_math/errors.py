"""What is wrong with an expression, in words for the model that wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ExpressionError(ValueError):
    """A text is no expression, or has no value. The message is one sentence for a model."""


@contextmanager
def explaining() -> Iterator[None]:
    """Turns what `exact` refuses into an ExpressionError, where an expression asked for it."""
    try:
        yield
    except ExpressionError:
        raise
    except ValueError as error:
        raise ExpressionError(str(error)) from error
