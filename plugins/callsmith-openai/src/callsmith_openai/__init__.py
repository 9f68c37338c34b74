"""Every OpenAI-compatible server: ``openai:MODEL`` and ``openai:MODEL@http://host:port/v1``.

`backend.open_backend` opens a model.
"""
