"""A chat template in Go's language, as Ollama has it, derived from one in Jinja by trying it.

A template says nothing of itself, so conversations are rendered whose contents are known, and what
stands between the contents is the template's. What comes out is a piece of text before and after
each role's content; it is then held against the Jinja template on real conversations, and refused
if a character differs. What depends on a content itself (trimming, cutting) can't be derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from callsmith.backends import Message
from callsmith.errors import DataError
from callsmith_transformers.rendering import Renderer


@dataclass
class GoTemplate:
    """``head`` begins a conversation; ``before`` and ``after`` stand around a role's content,
    ``before`` by the role that was shown last, too ("" for none); ``opening`` opens the model's
    next turn.

    A role without ``after`` is not shown: what its message makes of the text is fixed.
    """

    head: str = ""
    before: dict[tuple[str, str], str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    opening: str = ""

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation up to where the model goes on, as Ollama will write it."""
        text, last = self.head, ""
        for message in messages:
            role = message["role"]
            if role in self.after:
                text += self.before[last, role] + message["content"] + self.after[role]
                last = role
        return text + self.opening

    @property
    def source(self) -> str:
        """The template in Go's language."""
        befores = [self._before(role) for role in self.after]
        looks_back = any("$last" in before for before in befores)
        remember = "{{ $last = .Role }}" if looks_back else ""
        branches = [
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{literal(after)}{remember}'
            for before, (role, after) in zip(befores, self.after.items(), strict=True)
        ]
        start = '{{ $last := "" }}' if looks_back else ""
        each = "{{ " + "{{ else ".join(branches) + "{{ end }}"
        messages = f"{{{{ range .Messages }}}}{each}{{{{ end }}}}"
        return f"{start}{literal(self.head)}{messages}{literal(self.opening)}"

    def tidy(self) -> None:
        """Say the same with fewer conditions, where what is special about a conversation's first
        user message is what stands before it."""
        usual = self.before.get(("assistant", "user"), "")
        for last in ("system", ""):
            text = self.before.get((last, "user"), "")
            if not text.endswith(usual) or (not last and "system" in self.after):
                continue
            if last:
                self.after[last] += text.removesuffix(usual)
            else:
                self.head = text.removesuffix(usual)
            self.before[last, "user"] = usual

    def _before(self, role: str) -> str:
        """The text before a role's content, with a condition where it depends on the role last."""
        texts = {last: text for (last, this), text in self.before.items() if this == role}
        *rare, usual = sorted(set(texts.values()), key=list(texts.values()).count)
        if not rare:
            return literal(usual)
        cases = []
        for text in rare:
            tests = [f'(eq $last "{last}")' for last in texts if texts[last] == text]
            cases.append(f"if or {' '.join(tests)} }}}}{literal(text)}")
        return "{{ " + "{{ else ".join(cases) + f"{{{{ else }}}}{literal(usual)}{{{{ end }}}}"


def literal(text: str) -> str:
    """Text in a Go template in a Modelfile, where braces, quotes and control characters count."""
    harmless = all(char.isprintable() or char == "\n" for char in text)
    if harmless and "{{" not in text and '"""' not in text and not text.endswith("{"):
        return text
    kept = (char if char.isprintable() and char not in '"\\' else None for char in text)
    quoted = (k or f"\\U{ord(char):08x}" for k, char in zip(kept, text, strict=True))
    return '{{ "' + "".join(quoted) + '" }}'


def derive(
    renderer: Renderer, messages: Sequence[Message], begin: str = "", *, hide: bool = False
) -> GoTemplate:
    """The template that writes ``messages`` as the renderer does, but for ``begin``, which Ollama
    itself puts before every conversation.

    The conversation begins with a system message, and has every sequence of two roles that there
    will be. ``hide`` says that it is the very one that a template which does not show it was meant
    for. Raises DataError if there is no such template.
    """
    made = GoTemplate()
    probes = [
        {**message, "content": f"message {number}." if number else message["content"]}
        for number, message in enumerate(messages)
    ]
    shows_system = messages[0]["content"] in renderer.text(probes)
    if not (shows_system or hide):
        raise _no_template(
            renderer, "hides the system message, and the task it was trained on is not here"
        )
    _learn(made, renderer, probes, shows_system, begin)
    if shows_system:
        # Callsmith always gives a system message. People who chat may not.
        with suppress(DataError):
            _learn(made, renderer, probes[1:], True, begin)
    made.tidy()
    for number, message in enumerate(messages):
        so_far = messages[:number]
        if message["role"] == "assistant" and made.render(so_far) != _text(renderer, so_far, begin):
            raise _no_template(renderer, "rewrites what is said")
    return made


def _learn(
    made: GoTemplate, renderer: Renderer, messages: Sequence[Message], system: bool, begin: str
) -> None:
    """Add what stands around the contents of this conversation; ``system``: if that is shown."""
    text, last, unread = "", "", []
    for number, message in enumerate(messages):
        if message["role"] != "system" or system:
            unread.append(message)
        if message["role"] == "system":
            continue  # alone it makes no conversation
        longer = _text(renderer, messages[: number + 1], begin, generation=False)
        if not longer.startswith(text):
            raise _no_template(renderer, "changes earlier turns")
        piece, text = longer[len(text) :], longer
        for shown in unread:
            before, found, piece = piece.partition(shown["content"])
            if not found:
                raise _no_template(renderer, "rewrites what is said")
            _agree(renderer, made.before.setdefault((last, shown["role"]), before), before)
            last = shown["role"]
            if shown is not message:
                _agree(renderer, made.after.setdefault(last, ""), "")
        _agree(renderer, made.after.setdefault(last, piece), piece)
        unread = []
        if messages[number + 1 : number + 2] and messages[number + 1]["role"] == "assistant":
            opened = _text(renderer, messages[: number + 1], begin)
            opening = opened[len(text) :] if opened.startswith(text) else ""
            made.opening = made.opening or opening
            _agree(renderer, made.opening, opening)


def _text(
    renderer: Renderer, messages: Sequence[Message], begin: str, generation: bool = True
) -> str:
    return renderer.text(messages, generation).removeprefix(begin)


def _agree(renderer: Renderer, known: str, found: str) -> None:
    if known != found:
        raise _no_template(renderer, "writes like turns in different ways")


def _no_template(renderer: Renderer, reason: str) -> DataError:
    return DataError(
        f"the chat template of {renderer.name} {reason}, so none for Ollama can be derived: write "
        "TEMPLATE by hand"
    )
