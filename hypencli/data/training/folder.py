"""Local folders of training files, including those that the ``datasets`` library saves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hypencli.data.training.splits import is_data_file, select_files
from hypencli.errors import DataError

_STATE_FILE = "state.json"
"""File that the ``datasets`` library writes beside the Arrow files of a dataset. It lists them."""


class Located(NamedTuple):
    """The files of a split, and the split in their names; None if the names contain no split."""

    files: tuple[Path, ...]
    split: str | None


def locate_in_folder(folder: Path, split: str) -> Located:
    """Find the training files of a split in a folder and its subfolders, in name order.

    Raises:
        DataError: The folder has no training files, or none of this split.
    """
    names = data_files_of(folder)
    selected = select_files(names, split, where=str(folder))
    return Located(tuple(folder / name for name in selected.names), selected.split)


def data_files_of(folder: Path) -> list[str]:
    """List the data files in a folder and its subfolders, as relative paths with ``/``.

    Raises:
        DataError: A folder saved by ``datasets`` does not list its files.
    """
    return [*_data_files(folder), *_saved_files(folder)]


def _data_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if is_data_file(name) and path.is_file():
            yield name


def _saved_files(folder: Path) -> Iterator[str]:
    """Yield the Arrow files of saved datasets in a folder and its subfolders, without caches."""
    for state in folder.rglob(_STATE_FILE):
        below = state.parent.relative_to(folder)
        for name in _listed(state):
            yield (below / name).as_posix()


def _listed(state: Path) -> list[str]:
    try:
        values = json.loads(state.read_text(encoding="utf-8"))
        return [Path(file["filename"]).name for file in values["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{state} does not list the files of a saved dataset ({type(error).__name__}).",
            hint="Save it again with save_to_disk of the datasets library.",
        ) from error
