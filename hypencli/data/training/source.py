"""Sources of training rows, which can be read several times with bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hypencli.data.reading.hard_tasks import prepare_hint
from hypencli.data.training.folder import locate_in_folder
from hypencli.data.training.formats import rows_of, sha256_of
from hypencli.data.training.hub import locate_on_hub, may_be_hub_id
from hypencli.errors import DataError
from hypencli.paths import exists, is_dir, user_path
from hypencli.records import TrainingRow

ACCEPTED = (
    "a JSONL (.gz too) or Parquet file, a folder of such or one that the datasets library saved, "
    "or owner/name of a dataset on the hub"
)


@dataclass(frozen=True)
class TrainingSource:
    """Training rows that can be read several times, one by one, always in the same order.

    Attributes:
        name: Name for messages: that of a file or folder, or the id of a hub dataset.
        files: Files with the rows, in reading order.
        split: Split in the file names. None if the names contain no split, and all files are read.
    """

    name: str
    files: tuple[Path, ...]
    split: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content. Every file is read once.

        For one JSONL file, the hash of its decompressed text; for one Parquet or Arrow file, the
        hash of its bytes. For several files, the hash of their fingerprints in order. Names and
        paths have no effect.

        Raises:
            DataError: A file cannot be read.
        """
        return _joined([sha256_of(path) for path in self.files])

    def __iter__(self) -> Iterator[TrainingRow]:
        """Read the rows in order. What is read has the fingerprint, which is verified at the end.

        Raises:
            DataError: A row is malformed, there are no rows, or a file has changed since an earlier
                reading. The message names file and line (JSONL), or file and row (Parquet, Arrow).
        """
        empty = True
        digests: list[str] = []
        for path in self.files:
            for row in rows_of(path, digests.append):
                empty = False
                yield row
        if empty:
            raise DataError(f"{', '.join(map(str, self.files))}: no training rows.")
        self._refuse_other(_joined(digests))

    def _refuse_other(self, read: str) -> None:
        """Refuse content that is not that of the fingerprint; the first reading decides it."""
        if self.__dict__.setdefault("fingerprint", read) != read:
            raise DataError(
                f"{', '.join(map(str, self.files))}: the training rows changed while they were "
                "read.",
                hint="Run the same command again when nothing writes to them.",
            )


def _joined(digests: Sequence[str]) -> str:
    """Return the hash of one file, or the hash of the hashes of several in order."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode("ascii")).hexdigest()


def open_training_rows(place: str | Path, *, split: str = "train") -> TrainingSource:
    """Find training rows. They are read only when the source is iterated.

    A row is ``{"query": {"id", "content"}, "items": [{"id", "content", "score"?, "type"?}]}``: a
    line of JSONL, or a row of Parquet or Arrow with these nested columns.

    Args:
        place: A JSONL (also ``.gz``) or Parquet file; a folder of such files; a folder saved by the
            ``datasets`` library; or ``owner/name`` of a dataset on the Hugging Face hub.
        split: Split to read, if a folder or dataset has several.

    Raises:
        DataError: The place does not exist, or has no files of this split.
    """
    path = user_path(place)
    if is_dir(path):
        located = locate_in_folder(path, split)
        return TrainingSource(path.resolve().name, located.files, located.split)
    if exists(path):
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
    """Read all training rows of a place into memory; see :func:`open_training_rows`.

    Raises:
        DataError: There are no rows, or a row is malformed.
    """
    return list(open_training_rows(place, split=split))


def iterate_training_rows(place: str | Path, *, split: str = "train") -> Iterator[TrainingRow]:
    """Read the training rows of a place one by one; see :func:`open_training_rows`."""
    return iter(open_training_rows(place, split=split))


def training_fingerprint(place: str | Path, *, split: str = "train") -> str:
    """Return the SHA-256 of the content of training rows; see :attr:`TrainingSource.fingerprint`.

    Raises:
        DataError: There are no rows, or a file cannot be read.
    """
    return open_training_rows(place, split=split).fingerprint
