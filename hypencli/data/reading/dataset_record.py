"""``dataset.json``: the record of a prepared dataset: sources, settings, counts and file hashes.

It is a file in the folder of the dataset. A folder without it is not a prepared dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hypencli.data.atomic import atomic_write
from hypencli.errors import DataError

RECORD_NAME = "dataset.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part of a dataset: a split of training rows, or a collection.

    Attributes:
        counts: Kind of content (``rows``, ``documents``, ``queries``) -> count.
        left_out: Reason -> how many records of the source are left out.
        notes: Remark -> how many records it concerns.
    """

    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """The record of a prepared dataset.

    Attributes:
        name: Name of the dataset, such as ``tot-train``.
        settings: Settings of the preparation, such as the seed.
        sources: Ids of the sources.
        corpus: ``Corpus.corpus_id`` of the documents, if they are not part of the dataset.
        parts: Name -> part.
        faults: Kind of malformed record -> count and first place, if they were counted.
        files: File -> its SHA-256, paths relative to the folder.
        provenance: Versions and machine.
    """

    name: str
    settings: Mapping[str, str | int | bool | None]
    sources: tuple[str, ...]
    corpus: str | None
    parts: Mapping[str, PartRecord]
    faults: Mapping[str, tuple[int, str]]
    files: Mapping[str, str]
    provenance: Mapping[str, object] = field(default_factory=dict)


def file_hashes(folder: Path) -> dict[str, str]:
    """Compute the SHA-256 of all files in a folder and below, by relative path in name order."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        hashes[path.relative_to(folder).as_posix()] = digest
    return hashes


def write_record(folder: Path, record: DatasetRecord) -> None:
    """Write the record of a dataset into its folder.

    Raises:
        DataError: The record cannot be written.
    """
    values = {"format_version": FORMAT_VERSION, **asdict(record)}
    with atomic_write(folder / RECORD_NAME) as temporary:
        temporary.write_text(
            json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_record(folder: Path) -> DatasetRecord | None:
    """Read the record of a prepared dataset; None if the folder has no record.

    Raises:
        DataError: The record cannot be read, or has a newer format.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version > FORMAT_VERSION:
            raise DataError(
                f"{path} is of format {version}; this version reads formats up to {FORMAT_VERSION}."
            )
        return _record(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is not the record of a prepared dataset ({type(error).__name__}: {error}).",
            hint="Prepare it again with `overwrite=True`, or remove the file.",
        ) from error


def _record(values: Mapping[str, Any]) -> DatasetRecord:
    return DatasetRecord(
        name=str(values["name"]),
        settings=dict(values["settings"]),
        sources=tuple(values["sources"]),
        corpus=values["corpus"],
        parts={name: PartRecord(**part) for name, part in values["parts"].items()},
        faults={
            kind: (int(count), str(first)) for kind, (count, first) in values["faults"].items()
        },
        files=dict(values["files"]),
        provenance=dict(values["provenance"]),
    )
