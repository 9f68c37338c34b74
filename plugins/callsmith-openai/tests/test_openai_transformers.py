"""``transformers serve`` as a server: another program, with habits of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai_stub import ask

from callsmith.errors import Rejected
from callsmith.testing import check_backend
from callsmith_openai.backend import open_backend

pytest.importorskip("uvicorn", reason="transformers serve needs fastapi and uvicorn")


@dataclass(frozen=True)
class Served:
    url: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.model}@{self.url}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tiny teacher; its settings say that it samples, without which this server never does."""
    from callsmith_tiny.backend import MODELS

    folder = tmp_path_factory.mktemp("served")
    model, hub = folder / "tiny", folder / "hub"
    shutil.copytree(MODELS / "teacher", model)
    hub.mkdir()
    settings = model / "generation_config.json"
    known = json.loads(settings.read_text()) if settings.exists() else {}
    settings.write_text(json.dumps(known | {"do_sample": True}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).parent / "transformers", "serve", str(model), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | {"HF_HUB_CACHE": str(hub), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_it_answers(process, f"http://127.0.0.1:{port}/health")
        yield Served(f"http://127.0.0.1:{port}/v1", str(model))
    finally:
        process.kill()
        process.wait()


def until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server does not answer")


async def test_it_is_a_good_backend_but_for_what_the_server_does_not_do(served: Served) -> None:
    report = await check_backend(open_backend, served.name)
    # It takes a schema, and does not hold the model to it.
    assert [check.name for check in report.failed] == [
        "a turn held to valid calls is one, in the json dialect"
    ], report


async def test_a_model_whose_template_shows_no_tools_gets_text(served: Served) -> None:
    backend = open_backend(served.name)
    await backend.prepare()
    assert backend.capabilities.dialects[0] == "text"
    assert backend.capabilities.reason == "the server shows the model no tools"
    await backend.close()


async def test_a_stream_without_a_mark_at_its_end_is_whole(served: Served) -> None:
    backend, pieces = open_backend(served.name), []
    completion = await backend.complete(ask("How much is 2 + 3?", on_text=pieces.append))
    await backend.close()
    assert completion.text == "".join(pieces) != ""
    assert completion.usage.completion > 0


async def test_another_model_is_refused_before_the_first_turn(served: Served) -> None:
    backend = open_backend(f"other@{served.url}")
    with pytest.raises(Rejected, match=r"there is no model 'other': .* says: Server is pinned to"):
        await backend.prepare()
    await backend.close()
