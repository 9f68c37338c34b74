"""What starting costs: ``callsmith --help`` with all our plugins and 50 dummy ones, beside the
core alone.

The core alone is an environment of its own with callsmith and what it needs, linked, and no other
distribution. The dummies are distributions on the path, each a package with a function pack, every
tenth with a command too. CPU seconds of the whole process, rounds interleaved, medians shown.

    python benchmarks/startup.py [--plugins 50] [--rounds 15]
"""

from __future__ import annotations

import argparse
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


def make_bare(folder: Path) -> Path:
    """An environment with the core and what it needs, and nothing else; gives its Python."""
    import callsmith

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "callsmith").symlink_to(Path(callsmith.__file__).parent)
    wanted, seen = ["callsmith"], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        for file in distribution.files or ():
            top = file.parts[0]
            source = Path(str(distribution.locate_file(top)))
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                link = site / top
                if source.exists() and not link.exists():
                    link.symlink_to(source)
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                wanted.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    return folder / "bin" / "python"


def cpu_of(python: Path | str, path: Path | None) -> float:
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
        every = f"ours and {arguments.plugins} dummies"
        ways: dict[str, tuple[Path | str, Path | None]] = {
            "the core alone": (make_bare(Path(folder, "bare")), None),
            "all of ours": (sys.executable, None),
            every: (sys.executable, dummies),
        }
        for way in ways.values():
            cpu_of(*way)  # the first start compiles
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
