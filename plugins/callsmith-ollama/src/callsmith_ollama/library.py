"""The ``ollama`` package, imported whatever the environment says.

It makes a client of its own as it is imported, and fails with what that can't be made of: a proxy
that it can't use, an OLLAMA_HOST that is no address, a file of certificates that is not there. We
don't use that client, and say of our own what is wrong.
"""

from __future__ import annotations

import os

try:
    import ollama
except Exception:
    others = [name for name in os.environ if name.lower().endswith("_proxy")]
    hidden = [*others, "OLLAMA_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR"]
    kept = {name: os.environ.pop(name) for name in hidden if name in os.environ}
    try:
        import ollama
    finally:
        os.environ.update(kept)

# The client's own reading of OLLAMA_HOST and its many forms: both must mean the same server.
from ollama._client import _parse_host as parse_host

__all__ = ["ollama", "parse_host"]
