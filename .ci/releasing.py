"""Builds every distribution and looks into what came of it: ``python .ci/releasing.py``.

Wheels and source archives go to ``dist/``. What a package index thinks of them is for ``twine
check --strict``; ``make dist`` runs both. With ``--list`` it prints the distributions' names.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def projects() -> list[Path]:
    """The folders of all distributions, the core's first."""
    plugins = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
    return [ROOT / "core", *plugins]


def read_project(project: Path) -> dict[str, Any]:
    """The ``[project]`` table of its pyproject.toml."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def build(project: Path, folder: Path, kind: Literal["sdist", "wheel"]) -> Path:
    """Build into the folder, with the hatchling that is installed here; no network is needed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder.absolute())]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{project.name} can't be built:\n{done.stdout}{done.stderr}")
    name = read_project(project)["name"].replace("-", "_")
    (made,) = folder.glob(f"{name}-*.tar.gz" if kind == "sdist" else f"{name}-*.whl")
    return made


def faults(project: Path, sdist: Path, wheel: Path) -> list[str]:
    """What is wrong with a project's archives, in words."""
    found = []
    table = read_project(project)
    sources = {
        path.relative_to(project / "src").as_posix()
        for path in (project / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
    package = table["name"].replace("-", "_")
    if missing := sorted(sources - names):
        found.append(f"the wheel lacks {', '.join(missing)}")
    if strange := sorted(n for n in names - sources if not n.startswith(f"{info}/")):
        found.append(f"the wheel has {', '.join(strange)}")
    if f"{package}/py.typed" not in names:
        found.append("the wheel lacks py.typed")
    if f"{info}/licenses/LICENSE" not in names:
        found.append("the wheel lacks the licence")
    if metadata["Version"] != read_project(ROOT / "core")["version"]:
        found.append(f"its version is {metadata['Version']}, and the core's another")
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist") or ()]
    ours = [str(r.specifier) for r in requirements if r.name == "callsmith"]
    if project.name != "core" and ours != [core_specifier()]:
        found.append(f"it requires callsmith{''.join(ours)}, not callsmith{core_specifier()}")
    with tarfile.open(sdist) as archive:
        files = {n.partition("/")[2] for n in archive.getnames()}
        for name in {"LICENSE", "README.md", "pyproject.toml", *(f"src/{s}" for s in sources)}:
            if name not in files:
                found.append(f"the source archive lacks {name}")
        with tempfile.TemporaryDirectory() as folder:
            archive.extractall(folder, filter="data")
            (unpacked,) = Path(folder).iterdir()
            again = build(unpacked, Path(folder) / "again", "wheel")
            if again.read_bytes() != wheel.read_bytes():
                found.append("the source archive builds another wheel")
    return [f"{table['name']}: {fault}" for fault in found]


def core_specifier() -> str:
    """What each plugin has to require of the core: this minor version, as it is before 1.0."""
    major, minor, *_ = map(int, read_project(ROOT / "core")["version"].split("."))
    return f"<{major}.{minor + 1},>={major}.{minor}"


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        print(json.dumps([read_project(project)["name"] for project in projects()]))
        return
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    wrong = []
    for project in projects():
        sdist, wheel = build(project, folder, "sdist"), build(project, folder, "wheel")
        print(f"{wheel.name:55} {wheel.stat().st_size / 1024:8,.0f} KiB")
        wrong += faults(project, sdist, wheel)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
