"""Local Hugging Face models: ``hf:PATH_OR_NAME``, and the renderer that training shares with it.

`backend.open_backend` opens a model; `rendering.Renderer` turns conversations into token ids.
"""
