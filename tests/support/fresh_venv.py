"""A fresh virtual environment that finds what is installed here, and has nothing of its own yet."""

from __future__ import annotations

import os
import site
import subprocess
import venv
from pathlib import Path


class FreshVenv:
    """Made without network in a second: pip and third-party packages are those of this one.

    ``extra`` are variables for the commands that run in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.extra: dict[str, str] = {}
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        (own,) = folder.glob("lib/python*/site-packages")
        # addsitedir, unlike a plain path, follows the links of what is installed editable here.
        lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
        (own / "outer.pth").write_text("\n".join(lines) + "\n")
        # A command there, so that it is found as a person finds it.
        script = folder / "bin" / "callsmith"
        script.write_text(f"#!{self.python}\nfrom callsmith.cli import main\nmain()\n")
        script.chmod(0o755)
        for name in ("pip", "pytest"):
            (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {self.python} -m {name} "$@"\n')
            (folder / "bin" / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """To run commands in it. pip reaches for no index, and builds with what is here."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CALLSMITH", "PIP", "PYTEST", "PYTHON"))
        }
        return kept | {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as "no isolation"
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.extra,
        }

    def run(self, command: str, cwd: Path) -> str:
        """What a shell command prints, errors too. Raises AssertionError if it fails."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout
