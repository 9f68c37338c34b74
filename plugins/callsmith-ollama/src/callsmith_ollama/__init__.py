"""Models in Ollama: ``ollama:NAME[@URL]``. `backend.open_backend` opens one."""
