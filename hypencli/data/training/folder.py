"""A local folder of training files, also as the ``datasets`` library saves one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hypencli.data.training.splits import is_data_file, select_files
from hypencli.errors import DataError

_STATE_FILE = "state.json"
"""Lies beside the Arrow files of a dataset that ``datasets`` saved, and lists them."""


class Located(NamedTuple):
    """The files of a split, and the split that their names say; None where they say none."""

    files: tuple[Path, ...]
    split: str | None


def locate_in_folder(folder: Path, split: str) -> Located:
    """The training files of a split in a folder and the folders below it, in name order.

    Raises:
        DataError: There are none, or none of that split.
    """
    names = data_files_of(folder)
    selected = select_files(names, split, where=str(folder))
    return Located(tuple(folder / name for name in selected.names), selected.split)


def data_files_of(folder: Path) -> list[str]:
    """Files of rows in a folder and the folders below it, relative, with ``/`` between parts.

    Raises:
        DataError: A folder that ``datasets`` saved does not list its files.
    """
    return [*_data_files(folder), *_saved_files(folder)]


def _data_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if is_data_file(name) and path.is_file():
            yield name


def _saved_files(folder: Path) -> Iterator[str]:
    """The Arrow files of datasets saved in or below a folder; caches beside them are left out."""
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
