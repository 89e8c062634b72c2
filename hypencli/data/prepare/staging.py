"""Write a dataset's folder atomically: into a staging folder, which is then renamed.

During the preparation of ``data/tot-train``, the folder ``data/.tot-train.work`` holds:

* ``out``: the future dataset. After a kill it is started again.
* ``downloads``: downloaded files. An interrupted command keeps them for the next one.
* ``unpacked``: unpacked archives.
* ``replaced``: the previous dataset, between two renames.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypencli.data.atomic import flush_folder, flush_tree, only_one
from hypencli.errors import DataError


@dataclass(frozen=True, slots=True)
class StagingFolders:
    """The staging folders of a dataset; see the module docstring."""

    out: Path
    downloads: Path
    unpacked: Path


@contextmanager
def staged_folder(place: Path) -> Iterator[StagingFolders]:
    """Yield staging folders, and put ``out`` in place of ``place`` if the block succeeds.

    Raises:
        UsageError: Another process prepares the same folder.
        DataError: The parent folder is not writable.
    """
    place = place.absolute()
    work = place.with_name(f".{place.name}.work")
    lock = place.with_name(f".{place.name}.lock")
    with _writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with only_one(lock, f"Another process is preparing {place}."):
        with _writing(place):
            staging = _begin(place, work)
        try:
            yield staging
            with _writing(place):
                _finish(place, work)
        finally:
            _tidy(place, work)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{place} cannot be written: {error.strerror or error}.",
            hint="Name a folder that can be written to: `output=FOLDER`",
        ) from error


def _begin(place: Path, work: Path) -> StagingFolders:
    _clear(place, work)
    staging = StagingFolders(work / "out", work / "downloads", work / "unpacked")
    for folder in (staging.out, staging.downloads, staging.unpacked):
        folder.mkdir(parents=True, exist_ok=True)
    return staging


def _finish(place: Path, work: Path) -> None:
    if place.exists():
        place.rename(work / "replaced")
    flush_tree(work / "out")
    (work / "out").rename(place)
    flush_folder(place.parent)
    shutil.rmtree(work / "downloads")


def _clear(place: Path, work: Path) -> None:
    """Remove leftovers except downloads; restore the previous dataset if nothing replaced it."""
    replaced = work / "replaced"
    if replaced.exists() and not place.exists():
        replaced.rename(place)
    _remove(work / "out", work / "unpacked", replaced)


def _tidy(place: Path, work: Path) -> None:
    """Remove everything except downloads, and the folder too if it has none."""
    _clear(place, work)
    downloads = work / "downloads"
    if not downloads.exists() or not any(downloads.iterdir()):
        _remove(work)


def _remove(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
