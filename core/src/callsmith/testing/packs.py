"""The conformance kit for function packs, and the tasks that come with them.

`check_pack` is the whole of it: a line in a test of a plugin's own. What is checked is in
`pack_checks`; the calls that nobody would make are in `fuzz`, made by `samples`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from callsmith.errors import DataError, describe
from callsmith.functions import FunctionPack
from callsmith.testing.fuzz import Progress
from callsmith.testing.pack_checks import PACK_CHECKS, PackTrial, task_names
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
    with find_pack(pack) as found:
        trial = PackTrial(found, fuzz, seed, context, progress)

        async def check_all() -> list[Check]:
            checks = []
            for name, check in PACK_CHECKS.items():
                progress(name, 0, 0)
                checks.append(await run_check(name, partial(check, trial), SECONDS))
            return checks

        checks = run_to_end(check_all())
        for name in task_names(found):
            progress(f"task {name}", 0, 0)
            checks += _check_task(name, trial)
    return Report(f"pack {found.name}".strip(), tuple(checks))


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
