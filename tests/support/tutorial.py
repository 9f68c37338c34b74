"""A page of the documentation as the files it has its reader write and the commands to be run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fenced block. ``file`` is the file that the paragraph above says it is, if it does."""

    line: int
    language: str
    text: str
    file: str = ""

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """The commands of a console block, each with what it is said to print."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def read_blocks(page: Path) -> list[Block]:
    """The blocks of a page. One is a file's text if `name.ext` ends the paragraph above it."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        above = text[: match.start()].rstrip()
        named = re.search(r"`([\w/.]+\.\w+)`[^`]*:$", above.rpartition("\n\n")[2])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(line, match[1], match[2], named[1] if named else ""))
    return found


def prints(expected: str, given: str) -> bool:
    """Whether a command printed what the page says, where … stands for anything."""

    def tidy(text: str) -> str:
        return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())

    pattern = ".*".join(re.escape(part.strip()) for part in tidy(expected).split("…"))
    return re.fullmatch(pattern.replace(".*", r"\s*.*\s*"), tidy(given), re.DOTALL) is not None
