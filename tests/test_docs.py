"""What the documents say is so."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import reference
from click import Group

from callsmith import hookspecs
from callsmith.cli import COMMANDS, callsmith
from callsmith.testing.pack_checks import PACK_CHECKS

ROOT = Path(__file__).parent.parent


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/checking.md"])
def test_a_page_imports_what_there_is(page: str) -> None:
    blocks = code_blocks(ROOT / page)
    assert len(blocks) >= 2
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, name.name) for name in node.names)


def test_the_example_of_judging_holds() -> None:
    """The rest of the page is followed by test_tutorial."""
    page = (ROOT / "docs" / "packs.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", page.partition("**Judging.**")[2], flags=re.DOTALL)
    exec(compile(example[0], "packs.md", "exec"), {})


def test_the_architecture_page_names_every_module_of_the_core_and_no_other() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    core = ROOT / "core" / "src" / "callsmith"
    modules = {path.name for path in core.glob("*.py") if not path.name.startswith("__")}
    table = page[page.index("| file | holds |") : page.index("Everything else is a plugin")]
    assert set(re.findall(r"`(\w+\.py)`", table)) == modules


def test_the_page_on_checking_names_every_check_of_a_pack() -> None:
    page = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
    for name in PACK_CHECKS:
        assert f"| {name} |" in page


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_example(name: str) -> None:
    assert isinstance(callsmith, Group)
    command = callsmith.commands.get(name) or callsmith.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert re.search(r"Examples?:\s+callsmith ", command.help or "")


def test_the_plugin_reference_is_that_of_the_hook_specifications() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert page == reference.page(), "write it again: python .ci/reference.py"
    hooks = {hook.__name__ for hook in reference.hooks()}
    assert hooks == {name for name in vars(hookspecs) if name.startswith("callsmith_")}
