"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("callsmith", deadline=None)
settings.load_profile("callsmith")

# Models come from folders only: a test that would reach for a hub must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public problem sets, which are not part of the project."""
    folder = Path(
        os.environ.get("CALLSMITH_DATA", Path(__file__).parent.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"the problem sets are not in {folder}: set CALLSMITH_DATA to their folder")
    return folder
