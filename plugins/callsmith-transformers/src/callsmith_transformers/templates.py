"""A tokeniser's chat template: what it can do, found by trying it on probes.

Templates are programs that say nothing of themselves. Whether one takes a system message, has a
role for results or shows functions, which tokens make its turns and which end them, is read off
what it makes of small conversations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from callsmith.backends import Message
from callsmith.errors import DataError

PLAIN_TEMPLATE = """\
{%- set names = {'system': 'Instructions', 'user': 'User', 'assistant': 'Assistant', \
'tool': 'Result'} -%}
{%- for message in messages -%}
{{ '### ' + names[message['role']] + '\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '### Assistant\\n' }}
{%- endif -%}
"""
"""For models without a chat template. Each turn ends in the end-of-text token, which no text can
forge."""

TODAY = "26 Jul 2024"
"""The date for templates that show one: a prompt must be the same tomorrow. Llama 3's default."""

PROBE = "·"

_ASKED: Message = {"role": "user", "content": "?"}

_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "probe_function",
            "description": "A probe.",
            "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
        },
    }
]

_CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00000",
            "type": "function",
            "function": {"name": "probe_function", "arguments": {"x": "probe_value"}},
        }
    ],
}


class ChatTemplate:
    """The template of ``tokenizer``, or `PLAIN_TEMPLATE` if it has none; ``name`` is the model's.

    Everything raises DataError for a tokeniser that has neither a template nor an end-of-text
    token.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name

    def apply(self, messages: Sequence[Message], tools: Sequence[Any], generation: bool) -> str:
        """The conversation as text. Raises DataError if the template refuses it."""
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                chat_template=self._for_tools if tools else self.source,
                add_generation_prompt=generation,
                tokenize=False,
                date_string=TODAY,
            )
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"the chat template of {self._name} refuses this conversation: {reason}"
            ) from error
        return text

    @cached_property
    def source(self) -> str:
        """The template itself, in Jinja."""
        return self._source(None)

    @cached_property
    def _for_tools(self) -> str:
        """A model may have a template of its own for conversations with functions."""
        return self._source(_TOOLS)

    def _source(self, tools: list[Any] | None) -> str:
        if self._tokenizer.chat_template:
            source: str = self._tokenizer.get_chat_template(tools=tools)
            return source
        if not self._tokenizer.eos_token:
            raise DataError(
                f"the tokenizer of {self._name} has neither a chat template nor an end-of-text "
                "token, so a turn could never end: give it one of them"
            )
        begins = self._tokenizer("").input_ids[:1] == [self._tokenizer.bos_token_id]
        return ("{{- bos_token -}}\n" if begins else "") + PLAIN_TEMPLATE

    # ---- roles ----------------------------------------------------------------------------------

    @cached_property
    def system_role(self) -> bool:
        """Whether it takes a system message."""
        return PROBE in self._try({"role": "system", "content": PROBE}, _ASKED)

    @cached_property
    def tool_role(self) -> bool:
        """Whether it has a role for results, for calls written as text."""
        # One that writes any role by its name has none: its model never saw it.
        named = re.search(r"['\"]tool['\"]", self.source)
        said = {"role": "assistant", "content": "!"}
        return bool(named) and PROBE in self._try(_ASKED, said, {"role": "tool", "content": PROBE})

    @cached_property
    def native(self) -> bool:
        """Whether it shows functions, calls and results in its model's own way."""
        back = {"role": "tool", "tool_call_id": "call00000", "name": "probe_function"}
        shown = self._try(_ASKED, tools=_TOOLS)
        called = self._try(_ASKED, _CALL, {**back, "content": PROBE}, tools=_TOOLS)
        return "probe_function" in shown and "probe_value" in called and PROBE in called

    # ---- the model's turn -----------------------------------------------------------------------

    @cached_property
    def ends(self) -> frozenset[int]:
        """Ids of the tokens that end the model's turn."""
        turns = [self._turn({"role": "assistant", "content": PROBE}, ())]
        if self.native:
            turns.append(self._turn(_CALL, _TOOLS))
        closing = {t for t in self.turn_controls for turn in turns if turn.rstrip().endswith(t)}
        ids = {self._tokenizer.convert_tokens_to_ids(token) for token in closing}
        return frozenset((ids | {self._tokenizer.eos_token_id}) - {None})

    @cached_property
    def lead(self) -> str:
        """The blank space between the opening of the model's turn and what it says."""
        lead = self._turn({"role": "assistant", "content": PROBE}, ()).partition(PROBE)[0]
        return lead if lead.isspace() else ""

    def _turn(self, message: Message, tools: Sequence[Any]) -> str:
        """What the template makes of one turn of the model, its opening left out."""
        opened = self._try(_ASKED, tools=tools, generation=True)
        return self._try(_ASKED, message, tools=tools).removeprefix(opened)

    # ---- control tokens -------------------------------------------------------------------------

    @cached_property
    def turn_controls(self) -> set[str]:
        """The special tokens, and whatever other token makes turns here."""
        added = self._tokenizer.added_tokens_decoder.values()
        said = {"role": "assistant", "content": PROBE}
        turns = self._try(_ASKED, said, _ASKED, generation=True)
        structure = {t for t in self._added if t in turns and not t.isalnum()}
        special = {token.content for token in added if token.special and token.content}
        return special | set(self._tokenizer.all_special_tokens) | structure

    @cached_property
    def controls(self) -> set[str]:
        """Those, and what the template writes around calls, results and thoughts."""
        source = json.dumps(self._tokenizer.chat_template or "", ensure_ascii=False)
        bracketed = {t for t in self._added if re.fullmatch(r"[<\[{|].+[>\]}|]", t)}
        return self.turn_controls | {token for token in bracketed if token in source}

    @cached_property
    def _added(self) -> list[str]:
        """Tokens that were added to the vocabulary, marked special or not."""
        tokens = self._tokenizer.added_tokens_decoder.values()
        return [t.content for t in tokens if len(t.content) > 1 and not t.content.isspace()]

    def _try(self, *messages: Message, tools: Sequence[Any] = (), generation: bool = False) -> str:
        """The text that the template makes of a probe, empty if it refuses."""
        try:
            return self.apply(messages, tools, generation)
        except DataError:
            return ""
