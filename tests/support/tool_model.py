"""The tiny model as one that calls tools, so that a real server's handling of them can be tested.

It has not learned to; but with `TOOL_TEMPLATE` llama.cpp knows what a call of it looks like, and
with `calling` it lets the model write nothing else. The arguments are the model's own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOL_TEMPLATE = """\
{%- if tools -%}
  {{- "<|user|>" -}}
  {%- for tool in tools -%}{{- tool | tojson -}}{%- endfor -%}
  {{- "<|end|>" -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == "assistant" and message.tool_calls -%}
    {{- "<|assistant|>" + (message.content or "") -}}
    {%- for call in message.tool_calls -%}
      {{- '<|functions|>{"name": "' + call.function.name + '", "arguments": ' -}}
      {{- call.function.arguments | tojson -}}
      {{- "}<|direct|>" -}}
    {%- endfor -%}
    {{- "<|end|>" -}}
  {%- else -%}
    {{- "<|" + message.role + "|>" + message.content + "<|end|>" -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|assistant|>" -}}{%- endif -%}
"""
"""A call begins and ends with one token each; tiny's own tokens, which mean nothing here."""


def calling() -> dict[str, Any]:
    """Extras of sampling that ask llama.cpp for one call.

    Its grammar of that allows words before it and more calls after it; the bias allows neither.
    """
    from callsmith_tiny.backend import MODELS

    tokenizer = json.loads((MODELS / "teacher" / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    bias = [[ids["<|functions|>"], 100], [ids["<|end|>"], 200]]
    return {"tool_choice": "required", "logit_bias": bias}


def write_tool_gguf(tiny: Path, path: Path) -> None:
    """The tiny model's GGUF with this template instead of its own."""
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", str(tiny), str(path)]
    subprocess.run([*command, "--chat-template", TOOL_TEMPLATE], check=True, capture_output=True)
