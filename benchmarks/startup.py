"""What starting costs: ``callsmith --help`` with all our plugins and 50 dummy ones, beside the
core alone.

Both are environments as pip would make them, of links to what is installed here: the core, or the
core and our plugins, each with what it needs and nothing else. The dummies are distributions on the
path, each a package with a function pack, every tenth with a command too. CPU seconds of the whole
process, rounds interleaved, medians shown.

    python benchmarks/startup.py [--plugins 50] [--rounds 15]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

MOST_RATIO = 1.3
MOST_SECONDS = 0.35

PLUGIN = """
from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_functions():
    return {{"{name}": "{name}.pack:pack"}}
"""
COMMAND = """

@hookimpl
def callsmith_commands():
    return {{"{name}": "{name}.command:command"}}
"""


def install_dummy(folder: Path, number: int) -> None:
    """A distribution as pip would leave it, its plugin a module of a package."""
    name = f"dummy{number}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    code = PLUGIN if number % 10 else PLUGIN + COMMAND
    (folder / name / "plugin.py").write_text(code.format(name=name))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: callsmith>=0.1\n"
    )
    (info / "entry_points.txt").write_text(f"[callsmith]\n{name} = {name}.plugin\n")


def make_environment(folder: Path, names: list[str]) -> Path:
    """An environment with these distributions and what they need; gives its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted, seen = list(names), set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        sources = {distribution.locate_file(file.parts[0]) for file in distribution.files or ()}
        if name in names:  # ours are not copied where they are developed: see where they are
            spec = importlib.util.find_spec(name.replace("-", "_"))
            sources |= {Path(place) for place in (spec and spec.submodule_search_locations) or ()}
        for source in map(Path, sources):
            link = site / source.name
            wrong = source.suffix == ".pth" or source.name in ("..", "__pycache__")
            if not wrong and source.exists() and not link.exists():
                link.symlink_to(source)
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                wanted.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    return folder / "bin" / "python"


def our_plugins() -> list[str]:
    """The distributions beside the core that are ours, and installed."""
    folders = (Path(__file__).parent.parent / "plugins").iterdir()
    here = {distribution.name for distribution in metadata.distributions()}
    return sorted(folder.name for folder in folders if folder.name in here)


def cpu_of(python: Path, path: Path | None) -> float:
    """CPU seconds of one start of the help."""
    # As after pip's install, modules are compiled once.
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    process = subprocess.Popen(
        [python, "-m", "callsmith", "--help"], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def count_plugins(python: Path, path: Path) -> int:
    """How many load there: none may be missing from what is measured."""
    command = [python, "-m", "callsmith", "plugins", "--json"]
    environment = os.environ | {"PYTHONPATH": str(path)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return len(json.loads(shown.stdout)["plugins"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    with tempfile.TemporaryDirectory() as folder:
        dummies = Path(folder, "dummies")
        dummies.mkdir()
        for number in range(arguments.plugins):
            install_dummy(dummies, number)
        core, ours = ["callsmith"], our_plugins()
        alone = make_environment(Path(folder, "alone"), core)
        whole = make_environment(Path(folder, "whole"), core + ours)
        every = f"ours and {arguments.plugins} dummies"
        ways: dict[str, tuple[Path, Path | None]] = {
            "the core alone": (alone, None),
            f"our {len(ours)} plugins": (whole, None),
            every: (whole, dummies),
        }
        for way in ways.values():
            cpu_of(*way)  # the first start compiles
        found_there = count_plugins(whole, dummies)
        assert found_there == 1 + len(ours) + arguments.plugins, found_there
        turns = [way for _ in range(arguments.rounds) for way in ways]
        found: dict[str, list[float]] = {way: [] for way in ways}
        for way in track(turns, "measuring", console=Console(stderr=True), transient=True):
            found[way].append(cpu_of(*ways[way]))

    medians = {way: statistics.median(times) for way, times in found.items()}
    bare = medians["the core alone"]
    shown = Table(title="callsmith --help", title_justify="left", box=None)
    shown.add_column("installed")
    for column in ("CPU s", "least", "× the core alone"):
        shown.add_column(column, justify="right")
    for way, median in medians.items():
        shown.add_row(way, f"{median:.3f}", f"{min(found[way]):.3f}", f"{median / bare:.2f}")
    console = Console()
    console.print(shown)
    for what, value, most in (
        ("ratio to the core alone", medians[every] / bare, MOST_RATIO),
        ("CPU seconds", medians[every], MOST_SECONDS),
    ):
        verdict = "[green]kept[/]" if value <= most else "[red]passed[/]"
        console.print(f"{what}, {every}: {value:.2f} (at most {most}: {verdict})")


if __name__ == "__main__":
    main()
