"""docs/packs.md, followed to the letter in a fresh environment."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from fresh_venv import FreshVenv
from tutorial import prints, read_blocks

from callsmith.backends import Completion
from callsmith.chain import Call, Usage
from callsmith.testing import FaultServer, OllamaWire, Sent

PAGE = Path(__file__).parent.parent / "docs" / "packs.md"


def counts_letters(sent: Sent) -> Completion:
    """What a model would do that can count letters with a function, and guesses without one."""
    question = next(m["content"] for m in reversed(sent.messages) if m["role"] == "user")
    letter, text = re.findall(r"How many (\w) are in '?([\w ]+)", question)[-1]
    last, usage = sent.messages[-1], Usage(100, 10)
    offered = {tool["function"]["name"] for tool in sent.tools}
    if last["role"] == "tool":
        call = Call("answer", {"value": json.loads(last["content"])})
    elif "count" in offered:
        call = Call("count", {"text": text, "letter": letter})
    else:
        call = Call("answer", {"value": 2})
    return Completion(calls=(call,), usage=usage)


@pytest.fixture
def venv(tmp_path: Path) -> FreshVenv:
    return FreshVenv(tmp_path / "venv")


async def test_the_tutorial_can_be_followed(venv: FreshVenv, tmp_path: Path) -> None:
    """The model is played (Ollama's protocol is real); pushing ends in a repository next door."""
    cwd, github = tmp_path / "work", tmp_path / "github"
    cwd.mkdir()
    venv.run(f"git init --quiet --bare --initial-branch main {github}", tmp_path)
    (tmp_path / "gitconfig").write_text(
        f'[url "{github}"]\n\tinsteadOf = https://github.com/you/callsmith-letters\n'
        "[user]\n\tname = You\n\temail = you@example.org\n"
    )
    done = 0
    async with FaultServer(OllamaWire("llama3.1:latest", context=8192), counts_letters) as server:
        venv.extra = {
            "OLLAMA_HOST": server.url,
            "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
            "COLUMNS": "120",
        }
        for block in read_blocks(PAGE):
            where = f"{PAGE.name}, line {block.line}"
            if block.file:
                (cwd / block.file).write_text(block.text)
            elif block.language == "python":
                (tmp_path / "script.py").write_text(block.text)
                await asyncio.to_thread(venv.run, f"python {tmp_path}/script.py", tmp_path)
            else:
                assert block.language == "console", where
                for command, expected in block.commands:
                    if folder := re.fullmatch(r"cd (\w+)", command):
                        cwd /= folder[1]
                        continue
                    given = await asyncio.to_thread(venv.run, command, cwd)
                    assert prints(expected, given), f"{where}: $ {command}\n{given}"
            done += 1
    assert done >= 15
    pushed = venv.run(f"git --git-dir {github} ls-tree -r --name-only main", tmp_path).splitlines()
    assert ".github/workflows/publish.yml" in pushed
    assert not [name for name in pushed if "__pycache__" in name or name.startswith(".callsmith")]


def test_what_a_page_says_is_held_against_what_is_printed() -> None:
    assert prints("a …\n  b", "a 1 2\nb\n")
    assert prints("…\nanswer 3 …", "x\n\nanswer 3  correct")
    assert prints("", "")
    for expected, given in (("a …\nb", "a\nc"), ("", "a"), ("answer 3", "answer 4"), ("a", "a\nb")):
        assert not prints(expected, given)
