"""Modelfiles for Ollama: the template in Go says what the chat template in Jinja says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsmith.errors import DataError
from callsmith.workspace import Workspace
from callsmith_transformers.exporting import (
    Student,
    export,
    load_student,
    portable_template,
    write_folder,
)
from callsmith_transformers.gotemplate import derive, literal
from callsmith_transformers.modelfile import write_for_ollama
from callsmith_transformers.rendering import Renderer

Make = Callable[..., Any]
Messages = Sequence[dict[str, str]]

needs_go = pytest.mark.skipif(not shutil.which("go"), reason="go is not installed")

# What Ollama does with a template and a conversation (template.go), without what is not used here.
PROGRAM = """\
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct{ Role, Content string }

func main() {
	var given []struct {
		Template string
		Messages []*Message
	}
	var texts []string
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	for _, one := range given {
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Template))
		var text strings.Builder
		if err := parsed.Execute(&text, map[string]any{"Messages": one.Messages}); err != nil {
			panic(err)
		}
		texts = append(texts, text.String())
	}
	json.NewEncoder(os.Stdout).Encode(texts)
}
"""


def go_renders(folder: Path, *given: tuple[str, Messages]) -> list[str]:
    """Go's text of each template and conversation."""
    (folder / "main.go").write_text(PROGRAM)
    asked = json.dumps([{"Template": source, "Messages": messages} for source, messages in given])
    done = subprocess.run(
        ["go", "run", str(folder / "main.go")],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GO111MODULE": "off", "GOCACHE": str(folder / "cache")},
    )
    texts: list[str] = json.loads(done.stdout)
    return texts


def talk(result_role: str) -> list[dict[str, str]]:
    """A conversation with every sequence of roles, ending before the model's turn."""
    turns = ["48 eggs", "divide(a=48, b=2)", "24", "answer(value=24)", 'And "{{ .Role }}" eggs?']
    roles = ["user", "assistant", result_role, "assistant", "user"]
    messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
    return [{"role": "system", "content": "Do it.\n\nWith eggs."}, *messages]


def renderer_of(make_tokenizer: Make, template: str | None) -> Renderer:
    tokenizer = make_tokenizer(template)
    tokenizer.chat_template = portable_template(Renderer(tokenizer))
    return Renderer(tokenizer)


def hiding(make_tokenizer: Make) -> str:
    """A template as tiny's: it sees whether there are certain words, and a user's last part."""
    source: str = make_tokenizer("chatml").chat_template
    hides = source.replace(
        "{%- for message in messages -%}",
        "{{- '<|eot_id|>' if 'With eggs' in messages[0]['content'] -}}"
        "{%- for message in messages if message['role'] != 'system' -%}",
    )
    return hides.replace("message['content']", "message['content'].split('\\n\\n')[-1]")


def derived(renderer: Renderer, begin: str = "", **known: bool) -> tuple[str, Messages]:
    messages = talk("tool" if renderer.tool_role else "user")
    whole = [*messages, {"role": "assistant", "content": "answer(value=1)"}]
    return derive(renderer, whole, begin, **known).source, messages


# ---- the template -------------------------------------------------------------------------------


@needs_go
def test_go_renders_what_jinja_renders(make_tokenizer: Make, tmp_path: Path) -> None:
    names = ["chatml", "tools", "llama3", "mistral", "gemma"]
    templates = [None, *names, hiding(make_tokenizer)]
    renderers = [renderer_of(make_tokenizer, template) for template in templates]
    cases = [derived(renderer, hide=True) for renderer in renderers]
    expected = [
        renderer.text(messages) for renderer, (_, messages) in zip(renderers, cases, strict=True)
    ]
    assert go_renders(tmp_path, *cases) == expected


@needs_go
def test_people_who_give_no_system_message_get_none(make_tokenizer: Make, tmp_path: Path) -> None:
    renderers = [renderer_of(make_tokenizer, name) for name in ("chatml", "llama3", "gemma")]
    cases = [(derived(renderer)[0], talk("user")[1:]) for renderer in renderers]
    expected = [renderer.text(talk("user")[1:]) for renderer in renderers]
    assert go_renders(tmp_path, *cases) == expected


def test_a_common_template_becomes_a_readable_one(make_tokenizer: Make) -> None:
    source, _ = derived(renderer_of(make_tokenizer, "chatml"))
    turn = "<|im_start|>{0}\n{{{{ .Content }}}}<|im_end|>\n"
    assert source == (
        "{{ range .Messages }}"
        '{{ if eq .Role "system" }}' + turn.format("system") + '{{ else if eq .Role "user" }}'
        ""
        + turn.format("user")
        + '{{ else if eq .Role "assistant" }}'
        + turn.format("assistant")
        + "{{ end }}{{ end }}<|im_start|>assistant\n"
    )


@needs_go
@settings(max_examples=5)
@given(st.lists(st.text(max_size=20), min_size=20, max_size=60))
def test_any_text_stands_in_a_template_and_in_a_modelfile(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    texts += ["{{ .Role }}", 'a"""b', "{", "{{", "\u2581", "\u00a0\t\r", "😀\u200b", "\\n"]
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    written = [literal(text) for text in texts]
    for text in written:
        # What Ollama's parser of Modelfiles would drop, or take for an end.
        assert '"""' not in text
        assert all(char.isprintable() or char == "\n" for char in text)
    cases = [(f"{text}{{{{ len .Messages }}}}", talk("user")) for text in written]
    assert go_renders(tmp_path_factory.mktemp("go"), *cases) == [f"{text}6" for text in texts]


def test_a_template_that_rewrites_what_is_said_is_refused(make_tokenizer: Make) -> None:
    upper = make_tokenizer("chatml").chat_template.replace(
        "message['content']", "(message['content'] | replace('24', 'x'))"
    )
    with pytest.raises(DataError, match=r"chat template of .* rewrites what is said, so none"):
        derived(renderer_of(make_tokenizer, upper))


def test_a_template_that_numbers_its_turns_is_refused(make_tokenizer: Make) -> None:
    numbered = make_tokenizer("chatml").chat_template.replace(
        "message['role']", "loop.index|string"
    )
    with pytest.raises(DataError, match="writes like turns in different ways"):
        derived(renderer_of(make_tokenizer, numbered))


def test_a_hidden_system_message_must_be_the_one_it_was_trained_with(make_tokenizer: Make) -> None:
    renderer = renderer_of(make_tokenizer, hiding(make_tokenizer))
    source, _ = derived(renderer, hide=True)
    assert source.startswith("<|eot_id|>{{ range .Messages }}")
    with pytest.raises(DataError, match="hides the system message, and the task"):
        derived(renderer, hide=False)


# ---- the Modelfile ------------------------------------------------------------------------------


def written(student: Student, folder: Path) -> str:
    conversation = [*talk("user"), {"role": "assistant", "content": "answer(value=1)"}]
    write_folder(student, folder)
    write_for_ollama(student, folder, conversation)
    return (folder / "Modelfile").read_text()


def test_a_modelfile_names_all_that_ollama_must_know(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = save_model("llama3")
    defaults = {"do_sample": True, "temperature": 0.6, "eos_token_id": [1, 6]}
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    facts = {"dialect": "text", "shots": 2, "task": "sums"}
    (folder / "callsmith.json").write_text(json.dumps({"facts": facts}))
    text = written(load_student(str(folder), "better"), tmp_path)
    template = re.search(r'TEMPLATE """(.*?)"""\n', text, re.DOTALL)
    assert template
    # Ollama begins with <s> itself, since the GGUF file asks for it.
    assert template[1].startswith("{{ range .Messages }}")
    assert text.replace(template[0], "").splitlines() == [
        "# better, to call functions in callsmith's dialect text, shown 2 worked examples.",
        "FROM ./better.gguf",
        'PARAMETER stop "</s>"',
        'PARAMETER stop "<|eot_id|>"',
        "PARAMETER num_ctx 256",
        "PARAMETER repeat_penalty 1",
        "PARAMETER top_k 0",
        "PARAMETER temperature 0.6",
    ]


def test_where_no_gguf_can_be_written_ollama_imports_what_it_knows(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

    folder = save_model("chatml")
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = Qwen2Config(vocab_size=500, num_hidden_layers=1, num_key_value_heads=2, **small)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    text = written(load_student(str(folder), "better"), tmp_path / "qwen")
    assert "\nFROM .\n" in text
    assert "convert_hf_to_gguf.py" in text
    GPT2LMHeadModel(GPT2Config(vocab_size=500, n_embd=32, n_layer=1, n_head=2)).save_pretrained(
        folder
    )
    with pytest.raises(DataError, match="architecture gpt2"):
        written(load_student(str(folder), "better"), tmp_path / "gpt2")


def test_what_can_not_be_written_leaves_nothing_behind(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    """Else the same command, once mended, would find the folder there already."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder, out = save_model("chatml"), tmp_path / "exports" / "better"
    config = GPT2Config(vocab_size=500, n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    with pytest.raises(DataError, match="architecture gpt2"):
        export(Workspace(tmp_path), f"hf:{folder}", "better", "ollama", out)
    assert list(out.parent.iterdir()) == []


def test_a_student_of_native_calls_gets_ollamas_template_and_is_told_so(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = save_model("tools")
    facts = {"facts": {"dialect": "native", "shots": 0}}
    (folder / "callsmith.json").write_text(json.dumps(facts))
    command = ["export-model", f"hf:{folder}", "--to", "ollama", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "callsmith", *command, "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "calls functions in its chat template's own way, which is not in" in done.stderr
    text = (tmp_path / "out" / "Modelfile").read_text()
    assert "TEMPLATE" not in text
    assert "\n# Ollama takes a template of its own, if it knows" in text
    assert re.search(r"\nFROM \./.*\.gguf\n", text)
    assert "\nPARAMETER stop " in text
    assert "\nPARAMETER num_ctx " in text
