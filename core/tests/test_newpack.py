"""What ``callsmith new-pack`` refuses, and what it writes. `tests/test_new_pack.py` installs it."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from callsmith import __version__
from callsmith.discovery import BrokenPlugin, Found
from callsmith.errors import CallsmithError, DataError
from callsmith.newpack import NewPack, new_pack
from callsmith.plugins import Registry, load_registry

FUNCTIONS = '''
from __future__ import annotations

import click
from callsmith import function

def _helper(x: str) -> str:
    return click.unstyle(x)

@function(examples=[{"text": "packname"}])
def plain(text: str) -> str:
    """The text without packname."""
    return _helper(text)

@function
def loud(text: str) -> str:
    """The text in capitals."""
    return text.upper()
'''


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A functions file and a problems file, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FUNCTIONS)
    rows = [{"question": "Is packname a word?", "answer": "no"}]
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, rows)))


def make(name: str = "shop", **settings: object) -> NewPack:
    return new_pack(name, load_registry(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["shop", "my-pack", "my_pack", "units2"])
def test_a_name_goes_everywhere_as_it_must_be_written_there(files: None, name: str) -> None:
    made = make(name, with_task=True)
    package = f"callsmith_{name.replace('-', '_')}"
    assert made.folder == Path(name)
    assert made.distribution == f"callsmith-{name.replace('_', '-')}"
    project = tomllib.loads((made.folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == made.distribution
    assert project["project"]["entry-points"]["callsmith"] == {name: f"{package}.plugin"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"src/{package}"]
    plugin = (made.folder / "src" / package / "plugin.py").read_text()
    assert f'"{name}": "{package}.pack:pack"' in plugin
    for file in made.files:
        text = (made.folder / file).read_text()
        assert "packname" not in file + text
        assert not file.endswith(".py") or ast.parse(text) is not None
    assert {".gitignore", ".github/workflows/publish.yml", "LICENSE"} < set(made.files)
    assert f"src/{package}/py.typed" in made.files


def test_the_template_wants_this_callsmith(files: None) -> None:
    make()
    project = tomllib.loads(Path("shop/pyproject.toml").read_text())["project"]
    (needed,) = [one for one in project["dependencies"] if one.startswith("callsmith")]
    assert SpecifierSet(needed.removeprefix("callsmith")).contains(__version__)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My Pack", "'My Pack' is no name for a pack: small letters.*: my-pack, say"),
        ("3d", "is no name for a pack"),
        ("-", "a letter first$"),
        ("a" * 41, "at most 40"),
        ("../shop", "is no name for a pack"),
        ("callsmith-shop", "called callsmith-NAME by itself: say shop"),
        ("math", "there is a function pack 'math' here already: choose another name"),
        ("gsm8k", "there is a task 'gsm8k' here already"),
        ("ollama", "there is a plugin callsmith-ollama already"),
    ],
)
def test_a_name_that_cannot_be_or_is_taken_is_refused(
    files: None, name: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        make(name, with_task=True)
    assert sorted(Path.cwd().iterdir()) == [Path.cwd() / "mine.jsonl", Path.cwd() / "mine.py"]


def test_the_name_of_a_plugin_that_is_broken_is_taken_too(files: None) -> None:
    broken = BrokenPlugin("x", "Callsmith_Shop", "1", "it is", "mend it")
    registry = Registry(Found(broken=[broken]))
    with pytest.raises(DataError, match="there is a plugin callsmith-shop already"):
        new_pack("shop", registry)


def test_a_folder_that_is_there_is_left_alone(files: None) -> None:
    Path("shop").mkdir()
    with pytest.raises(DataError, match="shop is there already"):
        make()
    assert list(Path("shop").iterdir()) == []


def test_what_cannot_be_written_leaves_nothing_behind(
    files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, *args: object, **named: object) -> int:
        if path.name == "plugin.py":
            raise OSError(28, "No space left on device", str(path))
        return write(path, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        make()
    assert not Path("shop").exists()


def test_plain_files_are_promoted_as_they_are(files: None) -> None:
    made = make(functions=Path("mine.py"), problems=Path("mine.jsonl"), answer="label")
    package = made.folder / "src" / "callsmith_shop"
    assert (package / "functions.py").read_text() == FUNCTIONS
    assert (package / "problems.jsonl").read_text() == Path("mine.jsonl").read_text()
    assert "[functions.plain, functions.loud]" in (package / "pack.py").read_text()
    assert '"label"' in (package / "task.py").read_text()
    needed = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [one.partition(">")[0] for one in needed] == ["callsmith", "click"]
    (owed,) = made.owed
    assert owed.startswith("loud: no example yet, and the tests ask for one of each: write")


def test_files_that_cannot_be_promoted_are_refused(files: None) -> None:
    Path("beside.py").write_text("x = 1")
    Path("needs.py").write_text(FUNCTIONS + "\nimport beside\n")
    with pytest.raises(DataError, match=r"needs.py imports beside from beside it, which the pack"):
        make(functions=Path("needs.py"))
    with pytest.raises(DataError, match="give the problems for yours with --problems FILE"):
        make(functions=Path("mine.py"), with_task=True)
    for settings in (
        {"functions": Path("none.py")},
        {"problems": Path("none.jsonl")},
        {"problems": Path("mine.jsonl"), "answer": "number"},
    ):
        with pytest.raises(CallsmithError, match="can't"):
            make(**settings)
    assert not Path("shop").exists()
