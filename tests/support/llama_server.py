"""A real llama.cpp server for tests and benchmarks, in a process of its own.

By hand: ``python tests/support/llama_server.py MODEL.gguf --parallel 8``; it prints its URL once it
answers, and ends on Ctrl-C. From Python, `Server` starts and ends one.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from background import Background

KEY = "CALLSMITH_TEST_SERVER_KEY"
"""The variable that holds the key which the server wants: command lines can be read by anybody."""


class Server(Background):
    """A llama.cpp server for one model.

    ``parallel`` requests are worked on at once, each with ``context`` tokens of its own. Clients
    must send ``api_key`` if one is given, and find the model under the name ``alias``.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        parallel: int = 4,
        context: int = 2048,
        api_key: str = "",
        alias: str = "tiny",
        port: int = 0,
    ) -> None:
        options = [f"--parallel={parallel}", f"--context={context}", f"--alias={alias}"]
        super().__init__(__file__, [str(model), *options], port, **{KEY: api_key})

    @property
    def url(self) -> str:
        """The OpenAI-compatible API; llama.cpp's own paths lie under ``root``."""
        return f"{self.root}/v1"


def serve(arguments: argparse.Namespace) -> None:
    """Be the server, until Ctrl-C, or with ``--with-parent`` until stdin is closed."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(arguments.model)
    settings.model_alias = {arguments.alias}
    settings.hostnames = ["127.0.0.1"]
    settings.port = arguments.port
    settings.n_parallel = arguments.parallel
    settings.n_ctx = arguments.parallel * arguments.context
    settings.api_keys = [key] if (key := os.environ.get(KEY)) else []
    # Tests share the machine: one thread computes, and no memory is kept for prompts of the past.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.cache_ram_mib = 0
    # A request that waits for a slot holds a thread: enough that none waits for a thread first.
    settings.n_threads_http = 80
    # Attention in full precision, so that log-probabilities can be compared with transformers'.
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.fit_params = False
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    if arguments.with_parent:
        sys.stdin.read()
        # Not a clean end: requests may be under way, and nobody is left to read them.
        os._exit(0)
    threading.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--parallel", type=int, default=4, help="requests worked on at once")
    parser.add_argument("--context", type=int, default=2048, help="tokens for each of them")
    parser.add_argument("--alias", default="tiny", help="the name that clients ask for")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    serve(parser.parse_args())


if __name__ == "__main__":
    main()
