"""Names of the prepared datasets of a store."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TypeVar

from hypencli.data.reading.dataset_record import RECORD_NAME
from hypencli.paths import exists, is_file, user_path

DATA_FOLDER = "data"
"""Folder of prepared datasets in a store. It holds no artifacts and may be deleted."""

MaybeText = TypeVar("MaybeText", str, str | None)


def dataset_place(store_root: Path | None, source: MaybeText) -> MaybeText:
    """Resolve the name of a prepared dataset, or of a file in it, to a path.

    ``tot-test`` becomes ``<store>/data/tot-test`` if that dataset is prepared, and
    ``followir-test/robust04/queries.og.jsonl`` becomes the path of a file. A path that exists from
    the current folder, and any other value, is returned unchanged.

    Args:
        store_root: Folder of the store; None outside a store.
        source: A dataset, a file, or an ir_datasets id.
    """
    if store_root is None or not source or exists(user_path(source)):
        return source
    parts = PurePosixPath(source).parts
    folder = store_root / DATA_FOLDER
    if parts[0] in ("/", "..", "~") or ".." in parts:
        return source
    place = folder.joinpath(*parts)
    is_prepared = is_file(folder / parts[0] / RECORD_NAME) and exists(place)
    return str(place) if is_prepared else source


def display_name(path: Path, store_root: Path | None) -> str:
    """The name of a prepared dataset in the store, else its path."""
    if store_root is not None and path.parent.absolute() == (store_root / DATA_FOLDER).absolute():
        return path.name
    return str(path)
