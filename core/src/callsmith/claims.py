"""One process at a time makes a run's chains: two would both make, and pay for, all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callsmith.errors import StoreError


@contextmanager
def claim(home: Path, run: str) -> Iterator[None]:
    """Hold the run of the workspace ``home``; it is let go with this process, however that ends.

    Raises StoreError if another holds it.
    """
    from filelock import FileLock, Timeout

    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{run}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"run {run!r} is under way in another process: wait for that to end, or stop it, or "
            "choose another name with --run"
        ) from None
    try:
        yield
    finally:
        lock.release()
