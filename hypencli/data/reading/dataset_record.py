"""``dataset.json``: the record of a prepared dataset: sources, settings, counts and file hashes.

It lies in the dataset's folder. A folder without it is no prepared dataset.
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
        counts: What is in it: ``rows``, ``documents``, ``queries``.
        left_out: What the source has and the part has not.
        notes: What is worth knowing of what is in it.
    """

    counts: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """What is known of a prepared dataset.

    Attributes:
        name: The name it is prepared by, such as ``tot-train``.
        settings: What the command said, the seed among it.
        sources: Where it came from.
        corpus: The corpus of its queries, as ``Corpus.corpus_id`` has it, where it is no part of
            the dataset.
        parts: By name.
        faults: Malformed records, where they were counted: how many of each kind, and the first.
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
    """SHA-256 of every file in a folder and below, by relative path in name order."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        hashes[path.relative_to(folder).as_posix()] = digest
    return hashes


def write_record(folder: Path, record: DatasetRecord) -> None:
    """Write the record of a dataset into its folder.

    Raises:
        DataError: It cannot be written.
    """
    values = {"format_version": FORMAT_VERSION, **asdict(record)}
    with atomic_write(folder / RECORD_NAME) as temporary:
        temporary.write_text(
            json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_record(folder: Path) -> DatasetRecord | None:
    """The record of a prepared dataset; None for any other folder, and where there is none.

    Raises:
        DataError: There is one that cannot be read, or of a newer format.
    """
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version > FORMAT_VERSION:
            raise DataError(f"{path} is of format {version}; hype reads up to {FORMAT_VERSION}.")
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
