"""Training rows from wherever they lie, read again and again in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hypencli.data.reading.hard_tasks import prepare_hint
from hypencli.data.training.folder import locate_in_folder
from hypencli.data.training.formats import rows_of, sha256_of
from hypencli.data.training.hub import locate_on_hub, may_be_hub_id
from hypencli.errors import DataError
from hypencli.records import TrainingRow

ACCEPTED = (
    "a JSONL (.gz too) or Parquet file, a folder of such or one that the datasets library saved, "
    "or owner/name of a dataset on the hub"
)


@dataclass(frozen=True)
class TrainingSource:
    """Training rows that can be read again and again, in the same order, one at a time.

    Attributes:
        name: Stands for the rows: a file's or folder's name, or the id of a hub dataset.
        files: The files that hold them, in the order they are read.
        split: The split that the files' names say; None where they say none, and all are read.
    """

    name: str
    files: tuple[Path, ...]
    split: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content; reads every file once.

        Of one file: of its text for JSONL, compressed or not, of its bytes for Parquet and Arrow.
        Of several: of their fingerprints in order. Names and places do not count.

        Raises:
            DataError: A file cannot be read.
        """
        digests = [sha256_of(path) for path in self.files]
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()

    def __iter__(self) -> Iterator[TrainingRow]:
        """The rows, in their order.

        Raises:
            DataError: A row is not what it should be, named by file and line (JSONL) or by file
                and row (Parquet, Arrow); or there is no row at all.
        """
        empty = True
        for path in self.files:
            for row in rows_of(path):
                empty = False
                yield row
        if empty:
            raise DataError(f"{', '.join(map(str, self.files))}: no training rows.")


def open_training_rows(place: str | Path, *, split: str = "train") -> TrainingSource:
    """Find training rows; they are read only when the source is iterated.

    A row is ``{"query": {"id", "content"}, "items": [{"id", "content", "score"?, "type"?}]}``: a
    line of JSONL, or a row of Parquet or Arrow with these nested columns.

    Args:
        place: A JSONL (``.gz`` too) or Parquet file; a folder of such files, or one that the
            ``datasets`` library saved; or ``owner/name`` of a dataset on the Hugging Face hub.
        split: Of a folder or dataset with several splits, the one wanted.

    Raises:
        DataError: There is no such place, or no file of that split in it.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        located = locate_in_folder(path, split)
        return TrainingSource(path.resolve().name, located.files, located.split)
    if path.exists():
        return TrainingSource(path.name, (path,))
    if may_be_hub_id(str(place)):
        located = locate_on_hub(str(place), split)
        return TrainingSource(str(place), located.files, located.split)

    beside = "" if path.is_absolute() else "In a recipe, ./NAME is what lies beside the recipe. "
    raise DataError(
        f"No training file {path} (from {Path.cwd()}).",
        hint=f"{prepare_hint(str(place))}{beside}Accepted: {ACCEPTED}.",
    )


def read_training_rows(place: str | Path, *, split: str = "train") -> list[TrainingRow]:
    """All training rows of a place, in memory; see :func:`open_training_rows`.

    Raises:
        DataError: There are none; or one is not what it should be.
    """
    return list(open_training_rows(place, split=split))


def iterate_training_rows(place: str | Path, *, split: str = "train") -> Iterator[TrainingRow]:
    """The training rows of a place one by one; see :func:`open_training_rows`."""
    return iter(open_training_rows(place, split=split))


def training_fingerprint(place: str | Path, *, split: str = "train") -> str:
    """SHA-256 of the content of training rows; see :attr:`TrainingSource.fingerprint`.

    Raises:
        DataError: There are none, or a file cannot be read.
    """
    return open_training_rows(place, split=split).fingerprint
