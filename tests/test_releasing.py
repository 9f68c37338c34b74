"""What goes to a package index: each distribution by itself, and all of them in step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import releasing
import yaml
from packaging.requirements import Requirement

from callsmith.discovery import canonical
from callsmith.plugins import HOMES, load_registry

PROJECTS = releasing.projects()
NAMES = [releasing.read_project(project)["name"] for project in PROJECTS]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of every distribution, by its name."""
    folder = tmp_path_factory.mktemp("wheels")
    return {
        name: releasing.build(project, folder, "wheel")
        for name, project in zip(NAMES, PROJECTS, strict=True)
    }


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed here, but for our own: an editable one would be found by its metadata."""
    folder = tmp_path_factory.mktemp("third-party")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "callsmith" not in entry.name and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


class Environment:
    """A fresh virtual environment with third parties' packages and what `pip` puts there."""

    def __init__(self, folder: Path, third_party: Path) -> None:
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        self._home = folder / "home"
        paths = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", "venv", paths))
        (site / "third-party.pth").write_text(f"{third_party}\n")

    def pip(self, *words: str) -> None:
        python = str(self.bin / "python")
        command = [sys.executable, "-m", "pip", "--python", python, *words]
        subprocess.run(command, check=True, capture_output=True)

    def callsmith(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.bin / "callsmith"), *words],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "CALLSMITH_HOME": str(self._home)},
        )

    def json(self, *words: str) -> Any:
        done = self.callsmith(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def environment(tmp_path: Path, third_party: Path) -> Environment:
    return Environment(tmp_path / "venv", third_party)


@pytest.mark.skipif(os.name == "nt", reason="callsmith runs on POSIX")
def test_a_pack_is_there_while_it_is_installed(
    environment: Environment, wheels: dict[str, Path]
) -> None:
    install = ["install", "--no-deps", "--no-index"]

    def there() -> tuple[set[str], set[str], set[str]]:
        report = environment.json("plugins")
        assert (report["broken"], report["clashes"]) == ([], [])
        names = [function["name"] for function in environment.json("functions")]
        packs = {name.partition(".")[0] for name in names}
        tasks = {task["name"] for task in environment.json("tasks")}
        return {plugin["distribution"] for plugin in report["plugins"]}, packs, tasks

    environment.pip(*install, str(wheels["callsmith"]))
    bare = there()
    assert bare == ({"callsmith"}, set(), {"jsonl"})
    for missing, words in {
        "callsmith-math": ["functions", "math.add"],
        "callsmith-logic": ["functions", "logic.*"],
        "callsmith-mcp": ["functions", "mcp:python server.py"],
        "callsmith-ollama": ["ask", "1 + 1?", "-m", "ollama:llama3.1"],
        "callsmith-report": ["report"],
        "callsmith-transformers": ["export-model", "better"],
        "callsmith-tiny": ["run", "tiny"],
    }.items():
        refused = environment.callsmith(*words)
        assert refused.returncode == 2
        assert refused.stderr.endswith(f" here: install it with: pip install {missing}\n")
        assert "Traceback" not in refused.stderr

    environment.pip(*install, str(wheels["callsmith-math"]))
    assert there() == (
        {"callsmith", "callsmith-math"},
        {"math"},
        {"gsm8k", "jsonl", "wordproblems"},
    )
    asked = ["ask", "-t", "wordproblems", "--problem", "0", "-m", "reference"]
    assert environment.json(*asked)["stop"] == "answer"

    environment.pip("uninstall", "--yes", "callsmith-math")
    assert there() == bare


def test_all_distributions_work_from_their_wheels(
    environment: Environment, wheels: dict[str, Path]
) -> None:
    environment.pip("install", "--no-deps", "--no-index", *map(str, wheels.values()))
    # Everything that a plugin names is imported, and everything that it ships is there.
    checked = environment.callsmith("plugins", "--strict", "--json")
    assert checked.returncode == 0, checked.stderr
    report = json.loads(checked.stdout)
    assert {plugin["distribution"] for plugin in report["plugins"]} == set(NAMES)
    assert (report["broken"], report["clashes"]) == ([], [])


def test_every_name_that_our_plugins_provide_has_a_home() -> None:
    """So that whoever lacks it is told what to install."""
    for plugin in load_registry().plugins:
        if plugin.distribution in set(NAMES) - {"callsmith"}:
            for kind, names in plugin.provides.items():
                for name in names:
                    assert HOMES[kind].get(name) == plugin.distribution, (kind, name)


@pytest.mark.parametrize("project", PROJECTS, ids=NAMES)
def test_versions_are_in_step(project: Path) -> None:
    core, table = releasing.read_project(PROJECTS[0]), releasing.read_project(project)
    assert table["version"] == core["version"]
    assert table["requires-python"] == core["requires-python"]
    assert table["license"] == core["license"]
    licence = (project / "LICENSE").read_bytes()
    assert licence == (releasing.ROOT / "LICENSE").read_bytes()
    if project.name != "core":
        requirements = map(Requirement, table["dependencies"])
        (core_requirement,) = (r for r in requirements if r.name == "callsmith")
        assert str(core_requirement.specifier) == releasing.core_specifier()


def test_the_changelog_has_an_entry_for_the_version() -> None:
    version = releasing.read_project(PROJECTS[0])["version"]
    changes = (releasing.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)} ", changes, re.MULTILINE)


@pytest.mark.parametrize("project", PROJECTS, ids=NAMES)
def test_a_readme_stands_alone_on_a_package_index(project: Path) -> None:
    name = releasing.read_project(project)["name"]
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {name}\n")
    assert len(readme) > 600
    words = " ".join(readme.split())
    assert "eaches small language models to solve" in words, "what is callsmith?"
    assert re.search(rf"pip install [^\n]*\b{name}\b", readme)
    assert re.search(r"^\$? ?callsmith \w", readme, re.MULTILINE), "there is no example"
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        assert re.match(r"https?://|#", target), f"{target} leads nowhere on a package index"


@pytest.mark.parametrize("project", PROJECTS, ids=NAMES)
def test_what_is_required_is_pinned_for_development(project: Path) -> None:
    pinned = (releasing.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.split("==") for line in pinned if "==" in line)
    pins = {canonical(name): version for name, version in versions.items()}
    for requirement in map(Requirement, releasing.read_project(project)["dependencies"]):
        if canonical(requirement.name) not in map(canonical, NAMES):
            assert requirement.specifier.contains(pins[canonical(requirement.name)]), requirement


def test_archives_are_looked_into(tmp_path: Path, wheels: dict[str, Path]) -> None:
    report = PROJECTS[NAMES.index("callsmith-report")]
    sdist = releasing.build(report, tmp_path, "sdist")
    assert releasing.faults(report, sdist, wheels["callsmith-report"]) == []
    math = PROJECTS[NAMES.index("callsmith-math")]
    wrong = "\n".join(releasing.faults(math, sdist, wheels["callsmith-report"]))
    assert "the wheel lacks callsmith_math/" in wrong
    assert "the source archive lacks src/callsmith_math/" in wrong


@pytest.mark.parametrize("name", ["test", "release"])
def test_workflows_run_what_there_is(name: str) -> None:
    text = (releasing.ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    for job in jobs.values():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs)
    makefile = (releasing.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"make (\w+)", text)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for script in re.findall(r".ci/\w+\.py", text):
        assert (releasing.ROOT / script).is_file()


def test_each_distribution_is_published_by_its_own_name() -> None:
    listed = subprocess.run(
        [sys.executable, releasing.__file__, "--list"], capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout) == NAMES
    # The pattern by which the workflow tells the core's archives from its plugins'.
    patterns = [f"{name.replace('-', '_')}-[0-9]*" for name in NAMES]
    for name in NAMES:
        archive = f"{name.replace('-', '_')}-0.1.0.tar.gz"
        assert sum(fnmatch(archive, pattern) for pattern in patterns) == 1
