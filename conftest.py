"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Templates are tested in what is made of them, packs of third parties once they are installed.
collect_ignore_glob = ["core/src/*", "tests/thirdparty/*"]

# A busy machine is no failure.
settings.register_profile("callsmith", deadline=None)
settings.load_profile("callsmith")

# Models come from folders only: a test that would reach for a hub must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public problem sets, which are not part of the project."""
    folder = Path(
        os.environ.get("CALLSMITH_DATA", Path(__file__).parent.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"the problem sets are not in {folder}: set CALLSMITH_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def write_tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes ``teacher`` or ``student``, the tiny models, as GGUF for llama.cpp."""

    def write(name: str) -> Path:
        from callsmith_tiny.backend import MODELS
        from callsmith_transformers.exporting import load_student
        from callsmith_transformers.gguf import write_gguf

        path = tmp_path_factory.mktemp("gguf") / f"tiny-{name}.gguf"
        write_gguf(load_student(str(MODELS / name), f"tiny-{name}"), path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_gguf(write_tiny_gguf: Callable[[str], Path]) -> Path:
    """tiny:teacher as GGUF."""
    return write_tiny_gguf("teacher")


@pytest.fixture(scope="session")
def tiny_student_gguf(write_tiny_gguf: Callable[[str], Path]) -> Path:
    """tiny:student as GGUF."""
    return write_tiny_gguf("student")


@pytest.fixture(scope="session")
def llama_server(tiny_gguf: Path) -> Iterator[str]:
    """The URL, ending in /v1, of a real llama.cpp server with tiny:teacher under the name tiny."""
    from llama_server import Server

    with Server(tiny_gguf, parallel=8) as server:
        yield server.url
