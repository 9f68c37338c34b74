"""Where public problem sets come from: files on this machine, or the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from callsmith.chain import JSON
from callsmith.errors import DataError
from callsmith.numerals import shorten

_HUB_NAME = re.compile(r"[\w-]+/[\w.-]+")


def find_files(
    data: str | Path | None, folder: str, names: Mapping[str, str], source: str
) -> dict[str, Path]:
    """The files there are, by split; none if they are to come from the hub.

    ``data`` is a folder with some of the files ``names`` (which gives the split of each), or with
    a subfolder ``folder`` that has them; or one file, which is the split of its name, else train.
    Without it they are looked for where ``CALLSMITH_DATA`` points. Raises DataError if ``data``
    is there and has none of them, or is neither there nor a data set's name on the hub.
    """
    given = data or os.environ.get("CALLSMITH_DATA")
    if not given or (data and is_hub_name(data)):
        return {}
    path = Path(given)
    if path.is_file():
        return {names.get(path.name, "train"): path}
    for place in (path / folder, path):
        found = {split: place / name for name, split in names.items() if (place / name).is_file()}
        if found:
            return found
    if not data:
        return {}
    wanted = " or ".join(list(names)[:2])
    raise DataError(
        f"there is no {folder} in {path}: give a file, or a folder with {wanted}, from {source}"
    )


def is_hub_name(data: str | Path) -> bool:
    """Whether ``owner/name`` is meant, rather than a path."""
    return bool(_HUB_NAME.fullmatch(str(data))) and not Path(data).exists()


def hub_rows(name: str, split: str, way_out: str) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    """The rows of a split of a data set on the hub, each with where it stands, in words.

    Raises DataError, with the way out, if they can't be had.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(
            f"{name} has to come from somewhere: {way_out}, or install datasets to fetch it"
        ) from error
    try:
        rows: Any = load_dataset(name, split=split)
    except Exception as error:  # whatever the library and the network come up with
        reason = shorten(str(error), 120)
        raise DataError(f"can't fetch {name} from the hub ({reason}): {way_out}") from error
    for number, row in enumerate(rows, 1):
        yield f"{name}, {split} row {number}", row
