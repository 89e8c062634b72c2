"""Prepared datasets of a store by their names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TypeVar

from hypencli.data.reading.dataset_record import RECORD_NAME

DATA_FOLDER = "data"
"""Folder of a store where prepared datasets lie. It is no artifact: it may be deleted."""

MaybeText = TypeVar("MaybeText", str, str | None)


def dataset_place(store_root: Path | None, source: MaybeText) -> MaybeText:
    """The path of a prepared dataset, or of a part or file of it; anything else as it is.

    ``tot-test`` is ``<store>/data/tot-test`` where that was prepared, and
    ``followir-test/robust04/queries.og.jsonl`` is a file of another. What exists as a path from
    the current folder is that path.

    Args:
        store_root: The store; None outside of one, where nothing has a name.
        source: What the user named: a dataset, a file, an ir_datasets id.
    """
    if store_root is None or not source or Path(source).expanduser().exists():
        return source
    parts = PurePosixPath(source).parts
    folder = store_root / DATA_FOLDER
    if parts[0] in ("/", "..", "~") or ".." in parts:
        return source
    place = folder.joinpath(*parts)
    is_prepared = (folder / parts[0] / RECORD_NAME).is_file() and place.exists()
    return str(place) if is_prepared else source


def display_name(path: Path, store_root: Path | None) -> str:
    """What a prepared dataset is called by: its name in the store, else its path."""
    if store_root is not None and path.parent.absolute() == (store_root / DATA_FOLDER).absolute():
        return path.name
    return str(path)
