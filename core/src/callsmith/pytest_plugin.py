"""A pytest plugin: each check of `callsmith.testing.check_pack` as a test of its own. ::

    @pytest.mark.callsmith_pack("units", fuzz=200)
    def test_units(pack_check):
        pack_check()

Without that marker it imports nothing more of callsmith than this file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from callsmith.testing.pack_checks import PackTrial

MARKER = "callsmith_pack"
_STACK = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(pack, *, fuzz=1000, seed=0, context=8192): the function pack that the fixture "
        "pack_check checks, as callsmith.testing.check_pack does; a test for each check",
    )
    config.stash[_STACK] = ExitStack()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_STACK].close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pack_check" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid} uses pack_check: name the pack with "
            f"@pytest.mark.{MARKER}(NAME)"
        )
    from callsmith.testing.packs import checks_of

    trial = _open(metafunc.config, *marker.args, **marker.kwargs)
    named = checks_of(trial)
    metafunc.parametrize("pack_check", list(named.values()), ids=list(named), indirect=True)


@pytest.fixture
def pack_check(request: pytest.FixtureRequest) -> Callable[[], None]:
    """One check of the pack that the marker ``callsmith_pack`` names; fails or skips the test."""

    def run() -> None:
        checks = request.param()
        failed = [f"{check.name}\n{check.why}" for check in checks if check.outcome == "failed"]
        if failed:
            pytest.fail("\n".join(failed), pytrace=False)
        if all(check.outcome == "skipped" for check in checks):
            pytest.skip(checks[0].why)

    return run


def _open(config: pytest.Config, pack: Any, **settings: Any) -> PackTrial:
    from callsmith.testing.packs import open_trial

    return config.stash[_STACK].enter_context(open_trial(pack, **settings))
