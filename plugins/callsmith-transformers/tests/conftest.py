"""Tokenisers and models small enough to be made in the test, with the templates people meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from callsmith_transformers.rendering import Renderer

os.environ["HF_HUB_OFFLINE"] = "1"

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""

# As Qwen's: a role for results, functions shown, and calls between tokens not marked special.
TOOLS = """\
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- if messages[0]['role'] == 'system' -%}{{ messages[0]['content'] + '\\n' }}{%- endif -%}
{%- for tool in tools -%}{{ tool | tojson + '\\n' }}{%- endfor -%}{{ '<|im_end|>\\n' }}
{%- elif messages[0]['role'] == 'system' -%}
{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages if message['role'] != 'system' -%}
{%- if message['role'] == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' }}
{%- else -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}
{%- for call in message['tool_calls'] or [] -%}
{{ '<tool_call>\\n' + (call['function'] | tojson) + '\\n</tool_call>' }}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""

LLAMA3 = """\
{{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'
   + message['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif -%}"""

MISTRAL = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('roles must alternate user/assistant') }}
{%- endif -%}
{%- if message['role'] == 'user' -%}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else -%}{{ ' ' + message['content'] + eos_token }}{%- endif -%}
{%- endfor -%}"""

GEMMA = """\
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system role') }}{%- endif -%}
{%- for message in messages -%}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

TEMPLATES: dict[str, str | None] = {
    "plain": None,
    "chatml": CHATML,
    "tools": TOOLS,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "gemma": GEMMA,
}

SPECIAL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "[INST]", "[/INST]", "<start_of_turn>", "<end_of_turn>"),
]
ADDED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "divide(a="]


@cache
def trained_tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    text = "A farmer has 48 eggs and sells 2 for each dozen. divide(a=48, b=2) add(a=1, b=3)\n"
    alphabet = "".join(map(chr, range(32, 127)))
    made.train_from_iterator(
        [text * 5, alphabet, "\n\n" * 9], vocab_size=400, special_tokens=SPECIAL
    )
    return made


def tokenizer_with(template: str | None, **changes: Any) -> Any:
    """A tokeniser of 400 byte-level tokens; ``template`` is the name of one, or its source."""
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=trained_tokenizer()._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=SPECIAL[2:],
        name_or_path="a-model",
    )
    made.add_tokens(ADDED)
    made.chat_template = TEMPLATES.get(template, template) if template else None
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    return tokenizer_with


@pytest.fixture(scope="session")
def renderers() -> Mapping[str, Renderer]:
    """One for each template."""
    return {name: Renderer(tokenizer_with(name)) for name in TEMPLATES}


@pytest.fixture
def renderer(template: str, renderers: Mapping[str, Renderer]) -> Renderer:
    return renderers[template]


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a random Llama with its tokeniser to a new folder."""

    def save(template: str | None = "chatml", dtype: str = "float32", **config: Any) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        tokenizer = tokenizer_with(template)
        sizes = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "initializer_range": 0.1,  # far from uniform, so that mistakes show
        }
        settings = LlamaConfig(bos_token_id=0, eos_token_id=1, **{**sizes, **config})
        folder = tmp_path_factory.mktemp("model")
        LlamaForCausalLM(settings).to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save
