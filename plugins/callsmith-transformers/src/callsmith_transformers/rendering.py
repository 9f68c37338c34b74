"""Conversations become token ids: for rollout, evaluation and training alike.

What a model was given in a rollout is a prefix of what it is trained on, by construction: both
come from `Renderer`. The model's own turns are found by rendering the conversation turn by turn,
since few chat templates mark them. A template that writes earlier turns differently later on is
refused for training. Keeping texts from forging turns is `guard`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from callsmith.backends import Message
from callsmith.chain import JSON
from callsmith.errors import DataError, Rejected
from callsmith_transformers.call_ids import fit_ids
from callsmith_transformers.guard import MARK, Guard
from callsmith_transformers.models import base_of, told
from callsmith_transformers.templates import PROBE, ChatTemplate

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


class View(NamedTuple):
    """A conversation as its template writes it (guarding marks included), and its token ids."""

    text: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Token ids of a whole conversation. ``mask`` is 1 on those that the model writes itself:
    each of its turns up to and with the token that ends it."""

    ids: list[int]
    mask: list[int]


class Renderer:
    """Renders conversations for one tokeniser (any of transformers'), with its chat template.

    ``name`` is what messages call the model.
    """

    def __init__(self, tokenizer: Any, name: str = "") -> None:
        self.tokenizer = tokenizer
        self.name = name or getattr(tokenizer, "name_or_path", "") or "the tokenizer"
        self._template = ChatTemplate(tokenizer, self.name)
        self._view = lru_cache(maxsize=4096)(self._make_view)
        self._section = lru_cache(maxsize=16_384)(self._encode)
        added = [token for token in tokenizer.added_tokens_decoder.values() if token.content]
        # Such a token splits the text wherever it stands, so what follows it can be tokenised, and
        # remembered, apart.
        walls = [t.content for t in added if t.special and not t.normalized and not t.lstrip]
        alternatives = "|".join(map(re.escape, sorted(walls, key=len, reverse=True)))
        self._walls = re.compile(f"({alternatives})" if walls else "((?!))")
        # The first use sets the tokeniser up. Those that come from several threads then only read.
        self._encode("")

    # ---- rendering ------------------------------------------------------------------------------

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, JSON]] = (),
        generation: bool = True,
    ) -> list[int]:
        """The conversation's ids; with ``generation`` followed by the opening of the model's turn.

        Raises DataError if the template refuses the conversation.
        """
        return list(self._see(messages, tools, generation).ids)

    def text(self, messages: Sequence[Message], generation: bool = True) -> str:
        """The conversation as the template writes it, for programs that tokenise it themselves."""
        return self._see(messages, (), generation).text.replace(MARK, "")

    def conversation(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, JSON]] = ()
    ) -> Rendered:
        """A whole conversation to train on, every turn of the assistant's marked.

        What `encode` gives for the messages before such a turn is a prefix of its ids. Raises
        DataError for a template that changes earlier turns, or whose turns have no end.
        """
        whole = self._see(messages, tools, False)
        mask = [0] * len(whole.ids)
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        starts = []
        for turn in turns:
            prompt = self._see(messages[:turn], tools, True)
            after = self._see(messages[: turn + 1], tools, False)
            # The second says that what the model wrote stays as it was when it wrote it.
            if not (whole.text.startswith(prompt.text) and whole.text.startswith(after.text)):
                raise DataError(
                    f"the chat template of {self.name} changes earlier turns as a conversation "
                    "goes on, so a model would be trained on what it never sees: give the "
                    "tokenizer a template that leaves them as they are"
                )
            if whole.ids[: len(prompt.ids)] != prompt.ids:
                raise DataError(
                    f"a prompt of {self.name} is not a token prefix of the prompt with its "
                    "completion: its tokenizer can't be trained with"
                )
            starts.append(len(prompt.ids))
        for start, stop in zip(starts, [*starts[1:], len(whole.ids)], strict=True):
            end = next((i for i in range(start, stop) if whole.ids[i] in self.ends), None)
            if end is None:
                raise DataError(
                    f"the chat template of {self.name} ends the model's turn with no token that "
                    "it could stop at: give the tokenizer a template that closes it with one"
                )
            mask[start : end + 1] = [1] * (end + 1 - start)
        return Rendered(list(whole.ids), mask)

    def check(self) -> None:
        """Raise DataError unless conversations of several turns can be trained on."""
        messages: list[Message] = [{"role": "system", "content": PROBE}]
        for turn in range(3):
            messages.append({"role": "user", "content": f"{PROBE}{turn}"})
            messages.append({"role": "assistant", "content": f"{PROBE}{turn}"})
        self.conversation(messages)

    def decode(self, ids: Sequence[int]) -> str:
        """What the model wrote, special tokens and all, as its turn's content.

        Blank space that the template itself puts before a turn's content is left out, since the
        template will put it there again.
        """
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text.removeprefix(self._template.lead)

    # ---- what the template can ------------------------------------------------------------------

    @property
    def template(self) -> str:
        """The template in use: the tokeniser's, or `templates.PLAIN_TEMPLATE`."""
        return self._template.source

    @property
    def system_role(self) -> bool:
        """Whether it takes a system message. If not, its text goes before the first user's."""
        return self._template.system_role

    @property
    def tool_role(self) -> bool:
        """Whether it has a role for results, for calls written as text."""
        return self._template.tool_role

    @property
    def native(self) -> bool:
        """Whether it shows functions, calls and results in its model's own way."""
        return self._template.native

    @property
    def ends(self) -> frozenset[int]:
        """Ids of the tokens that end the model's turn."""
        return self._template.ends

    # ---- the way there --------------------------------------------------------------------------

    def _see(self, messages: Sequence[Message], tools: Sequence[Any], generation: bool) -> View:
        # As JSON, so that it can be remembered: a rollout asks for each prompt again at the next
        # turn, and few-shot turns stand at the head of every conversation.
        return self._view(json.dumps([list(messages), list(tools), generation]))

    def _make_view(self, key: str) -> View:
        messages, tools, generation = json.loads(key)
        text = self._render(messages, tools, generation)
        ids = self._tokenise(text)
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        if turns and turns[-1]:
            # The model went on from the prompt's own tokens. Where a turn begins with what the
            # tokeniser would join to the end of the prompt, the two are tokenised apart.
            prompt = self._see(messages[: turns[-1]], tools, True)
            if ids[: len(prompt.ids)] != prompt.ids and text.startswith(prompt.text):
                ids = prompt.ids + self._tokenise(text[len(prompt.text) :])
        return View(text, ids)

    def _render(self, messages: list[Message], tools: list[Any], generation: bool) -> str:
        if not self._template.system_role:
            messages = _fold_system(messages)
        messages = fit_ids(messages)
        guarded = [self._guard(message) for message in messages]
        for message, safe in zip(messages, guarded, strict=True):
            if message["role"] == "assistant" and message.get("content"):
                safe["content"] = self._own_guard(message["content"])
        return self._template.apply(guarded, self._guard(tools), generation)

    def _tokenise(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in text.split(MARK):
            # What stands before the first wall, then each wall with what follows it.
            first, *rest = self._walls.split(piece)
            ids += self._section(first)
            for wall, after in zip(rest[::2], rest[1::2], strict=True):
                ids += self._section(wall + after)
        return ids

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = self.tokenizer.encode(text, add_special_tokens=False, verbose=False)
        return tuple(ids) if text else ()

    @cached_property
    def _own_guard(self) -> Guard:
        """For the model's own text, which may hold the marks it writes around calls."""
        return Guard(self._template.turn_controls, self._normaliser)

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self._template.controls, self._normaliser)

    @cached_property
    def _normaliser(self) -> Any:
        """The tokeniser's normaliser, if it looks for control tokens in normalised text."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        normalizer = getattr(backend, "normalizer", None)
        added = self.tokenizer.added_tokens_decoder.values()
        return normalizer.normalize_str if normalizer and any(t.normalized for t in added) else None


def load_tokenizer(name: str) -> Any:
    """The tokeniser; of an adapter saved without one, its base model's. Raises Rejected."""
    from transformers import AutoTokenizer

    folder = Path(name)
    if folder.is_dir() and not any((folder / file).exists() for file in TOKENIZER_FILES):
        if base := base_of(name):
            return load_tokenizer(base)
        raise Rejected(
            f"the folder {name} has no tokenizer: save the one that the model was trained with "
            f"into it, with tokenizer.save_pretrained({name!r})"
        )
    with told(name):
        return AutoTokenizer.from_pretrained(name)


def _fold_system(messages: list[Message]) -> list[Message]:
    """The system message's text at the head of the first user message."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
