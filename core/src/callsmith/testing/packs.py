"""The conformance kit for function packs, and the tasks that come with them.

`check_pack` is the whole of it: a line in a test of a plugin's own. What is checked is in
`pack_checks`; the calls that nobody would make are in `fuzz`, made by `samples`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from callsmith.errors import DataError, describe
from callsmith.functions import FunctionPack
from callsmith.testing.fuzz import Progress
from callsmith.testing.pack_checks import PACK_CHECKS, PackCheck, PackTrial
from callsmith.testing.projects import find_pack
from callsmith.testing.report import Check, Report, run_check
from callsmith.testing.tasks import check_task
from callsmith.workspace import run_to_end

SECONDS = 3_600.0
"""That a check may take: the fuzz of a large pack takes minutes."""


def check_pack(
    pack: FunctionPack | str | Path,
    *,
    fuzz: int = 1_000,
    seed: int = 0,
    context: int = 8192,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Check a function pack, and the tasks of its plugin, and return what holds.

    ``pack`` is the pack itself, the name of an installed one, or the path of a project's folder or
    of a file with functions. Each function is called with ``fuzz`` valid and ``fuzz`` invalid
    argument sets, drawn by ``seed``. ``context`` is what the smallest model that the pack is meant
    for can read, in tokens. Raises PluginError if there is no such pack, or it can't be used.
    """
    checks: list[Check] = []
    with open_trial(pack, fuzz=fuzz, seed=seed, context=context, progress=progress) as trial:
        for name, make in checks_of(trial).items():
            progress(name, 0, 0)
            checks += make()
    return Report(f"pack {trial.found.name}".strip(), tuple(checks))


@contextmanager
def open_trial(
    pack: FunctionPack | str | Path,
    *,
    fuzz: int = 1_000,
    seed: int = 0,
    context: int = 8192,
    progress: Progress = lambda what, done, total: None,
) -> Iterator[PackTrial]:
    """A pack on trial; arguments and errors are those of `check_pack`."""
    with find_pack(pack) as found:
        yield PackTrial(found, fuzz, seed, context, progress)


def checks_of(trial: PackTrial) -> Mapping[str, Callable[[], list[Check]]]:
    """What is to be checked, by its name: one check of the pack, or all those of a task."""
    made: dict[str, Callable[[], list[Check]]] = {
        name: partial(_check, name, check, trial) for name, check in PACK_CHECKS.items()
    }
    tasks = sorted(trial.found.plugin.targets["tasks"]) if trial.found.plugin else ()
    return made | {f"task {name}": partial(_check_task, name, trial) for name in tasks}


def _check(name: str, check: PackCheck, trial: PackTrial) -> list[Check]:
    return [run_to_end(run_check(name, lambda: check(trial), SECONDS))]


def _check_task(name: str, trial: PackTrial) -> list[Check]:
    try:
        report = check_task(
            name, context=trial.context, registry=trial.found.registry, progress=trial.progress
        )
    except DataError as error:  # most often a data set that is not here
        way_out = f"callsmith check-task {name} -O KEY=VALUE"
        return [Check(f"task {name}", "skipped", f"{error}; try {way_out}")]
    except Exception as error:
        why = f"it raised {type(error).__name__}: {describe(error)}"
        return [Check(f"task {name}", "failed", why)]
    return [Check(f"task {name}: {c.name}", c.outcome, c.why) for c in report.checks]
