"""Function packs that are opened by an address, ``mcp:COMMAND``: opened once, closed in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from callsmith.discovery import reason

if TYPE_CHECKING:
    from callsmith.functions import Function, FunctionPack

logger = logging.getLogger(__name__)


class OpenPacks:
    """The packs that are open, by reference, shared by all who use them at the same time."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._users = 0
        self._open: dict[str, tuple[FunctionPack, dict[str, Function]]] = {}

    def get(
        self,
        ref: str,
        name: str,
        open_pack: Callable[[], FunctionPack],
    ) -> Mapping[str, Function]:
        """The functions of the pack by bare name; it is opened unless it is open already."""
        with self._lock:
            if ref not in self._open:
                pack = open_pack()
                self._open[ref] = (pack, pack.named(name))
            return self._open[ref][1]

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What is open stays so; the last to leave closes it. What fails to close is logged."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                closing = {} if self._users else dict(self._open)
                for ref in closing:
                    del self._open[ref]
            for ref, (pack, _) in closing.items():
                try:
                    pack.close()
                except Exception as error:
                    logger.warning("%s failed to close: %s", ref, reason(error))
