"""Import of a study: the archive is checked completely, then moved into the store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hypencli.data.exchange.study_archive import MAX_ARCHIVE_BYTES, StudyArchive, open_study_archive
from hypencli.errors import DataError
from hypencli.ops.transfer.study_export import (
    COMPANIONS,
    MANIFEST,
    REFERENCES,
    REPORT_FILE,
    STUDY_FILE,
    WHOLE,
)
from hypencli.progress import SILENT, Progress, Task
from hypestore import FOLDERS, FORMAT_VERSION, Manifest, Store

_WHOLE_FOLDERS = {FOLDERS[kind] for kind in WHOLE}


@dataclass(frozen=True, slots=True)
class ImportedStudy:
    """An imported study.

    Attributes:
        path: The archive.
        runs: Names or ids of new runs.
        evaluations: Number of new evaluations.
        references: Number of new models, embedding sets and others, by their manifests.
        existing: Number of runs and evaluations that the store had before.
        unnamed: Ids of new artifacts without a name, because another artifact has it.
    """

    path: Path
    runs: list[str]
    evaluations: int
    references: int
    existing: int
    unnamed: list[str]


def import_study(
    store: Store,
    path: Path,
    *,
    drop_names: bool = False,
    max_bytes: int = MAX_ARCHIVE_BYTES,
    progress: Progress = SILENT,
) -> ImportedStudy:
    """Import the runs and evaluations of another store, with their lineage.

    They keep their ids, names and times, so the leaderboard is the same as in the other store. Only
    the manifests of models and embedding sets are imported.

    Args:
        store: The project store.
        path: Archive of :func:`~hypencli.ops.transfer.study_export.export_study`.
        drop_names: Leave out names that other artifacts of this store have.
        max_bytes: Maximum size in bytes of the unpacked archive, and of its tables in memory.
        progress: Where to report.

    Raises:
        DataError: The file is not an archive of a study, is damaged, is too large, or has other
            files.
        StoreError: A manifest or file is damaged, a number or date is out of bounds, tables are too
            large, a name is taken, or a parent is missing.
    """
    with open_study_archive(path, max_bytes=max_bytes) as archive, store.staging() as staging:
        homes = _homes(archive)
        _check_contents(archive, homes)
        with progress.task("import", total=len(archive.sizes), unit="files") as task:
            folders = {home: _unpack(archive, home, names, staging, task) for home, names in homes}
        done = store.adopt(
            [folder for home, folder in folders.items() if home[0] != REFERENCES],
            [folder for home, folder in folders.items() if home[0] == REFERENCES],
            drop_names=drop_names,
            max_table_bytes=max_bytes,
        )
    unnamed = {manifest.id for manifest in done.unnamed}
    return ImportedStudy(
        path=path,
        runs=[_display_name(one, unnamed) for one in done.artifacts if one.kind == "run"],
        evaluations=sum(one.kind == "evaluation" for one in done.artifacts),
        references=len(done.references),
        existing=len(done.existing),
        unnamed=sorted(unnamed),
    )


def _display_name(manifest: Manifest, unnamed: set[str]) -> str:
    return manifest.id if manifest.id in unnamed else manifest.name or manifest.id


Home = tuple[str, ...]
"""Folder of an artifact in an archive: ``(runs, ID)``, or ``(references, models, ID)``."""


def _homes(archive: StudyArchive) -> list[tuple[Home, list[str]]]:
    """List the artifacts of an archive, each with the names of its files.

    Raises:
        DataError: A file is not part of a study.
    """
    homes: dict[Home, list[str]] = {}
    for name in archive.sizes:
        if name in (STUDY_FILE, REPORT_FILE):
            continue
        parts = PurePosixPath(name).parts
        depth = 3 if parts[0] == REFERENCES else 2
        home, rest = parts[:depth], "/".join(parts[depth:])
        if not rest or not _belongs(home, rest):
            raise DataError(f"{archive.path}: {name} is not a file of a study.")
        homes.setdefault(home, []).append(name)
    return list(homes.items())


def _belongs(home: Home, rest: str) -> bool:
    """Whether an artifact in this folder may have the file."""
    if home[0] == REFERENCES:
        return home[1] in FOLDERS.values() and rest in (MANIFEST, *COMPANIONS)
    return home[0] in _WHOLE_FOLDERS


def _check_contents(archive: StudyArchive, homes: Iterable[tuple[Home, list[str]]]) -> None:
    """Check that the archive is a study of a supported version, with the artifacts it lists."""
    contents = _json(archive, STUDY_FILE)
    if contents.get("kind") != "study":
        raise DataError(f"{archive.path}: {STUDY_FILE} is not that of a study.")
    version = contents.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise DataError(
            f"{archive.path}: format version {version!r}; the highest supported version is "
            f"{FORMAT_VERSION}.",
            hint="Install a newer version, from where this one came.",
        )
    actual: dict[str, list[str]] = {"artifacts": [], REFERENCES: []}
    for home, _ in homes:
        actual[REFERENCES if home[0] == REFERENCES else "artifacts"].append(home[-1])
    for key, ids in actual.items():
        listed = contents.get(key)
        if not isinstance(listed, list) or sorted(map(str, listed)) != sorted(ids):
            raise DataError(f"{archive.path}: {STUDY_FILE} lists other artifacts than it has.")


def _json(archive: StudyArchive, name: str) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{archive.path}, {name}: not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise DataError(f"{archive.path}, {name}: not a JSON object.")
    return value


def _unpack(archive: StudyArchive, home: Home, names: list[str], staging: Path, task: Task) -> Path:
    """Unpack the files of one artifact, after a check of their sizes."""
    place = "/".join(home)
    manifest = _json(archive, f"{place}/{MANIFEST}")
    if home[-2] not in [folder for kind, folder in FOLDERS.items() if kind == manifest.get("kind")]:
        raise DataError(f"{archive.path}: {place} has the kind {manifest.get('kind')!r:.40}.")
    _check_sizes(archive, place, names, manifest)
    for name in names:
        archive.extract(name, staging / name)
        task.advance()
    return staging.joinpath(*home)


def _check_sizes(
    archive: StudyArchive, place: str, names: list[str], manifest: dict[str, Any]
) -> None:
    """Check that the manifest lists each file, with its size."""
    records = manifest.get("files")
    sizes = {
        f"{place}/{record.get('path')}": record.get("size_bytes")
        for record in (records if isinstance(records, list) else [])
        if isinstance(record, dict)
    }
    for name in names:
        if name != f"{place}/{MANIFEST}" and sizes.get(name) != archive.sizes[name]:
            raise DataError(
                f"{archive.path}: {name} has {archive.sizes[name]:,} bytes, expected "
                f"{sizes.get(name, 'no such file')}."
            )
