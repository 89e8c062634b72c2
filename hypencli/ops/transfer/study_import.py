"""An archive of a study into the store: checked as a whole, then moved in."""

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
    REFERENCES,
    REPORT_FILE,
    STUDY_FILE,
    WHOLE,
)
from hypencli.progress import SILENT, Progress, Task
from hypestore import FOLDERS, FORMAT_VERSION, Manifest, Store

MANIFEST = "manifest.json"

_WHOLE_FOLDERS = {FOLDERS[kind] for kind in WHOLE}


@dataclass(frozen=True, slots=True)
class ImportedStudy:
    """What an archive brought.

    Attributes:
        runs: New runs, by name or id.
        evaluations: How many are new.
        references: Models, embedding sets and others that are known by their manifests now.
        existing: Runs and evaluations that were here before.
        unnamed: New artifacts whose names were taken: they go by these ids.
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
    """Take in the runs and evaluations of another store, with their lineage.

    They keep their ids, names and times, so that the leaderboard is the one they came from. Models
    and embedding sets are known afterwards by their manifests alone.

    Args:
        store: The project store.
        path: What :func:`~hypencli.ops.transfer.study_export.export_study` wrote.
        drop_names: Leave out names that other artifacts have here.
        max_bytes: What the archive may unpack to.
        progress: Where to report.

    Raises:
        DataError: It is no such archive, damaged, too large, or holds what it should not.
        StoreError: A manifest or file in it is not sound, a name is taken, a parent is missing.
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
"""Where an artifact lies in an archive: ``(runs, ID)``, or ``(references, models, ID)``."""


def _homes(archive: StudyArchive) -> list[tuple[Home, list[str]]]:
    """The artifacts of an archive, each with the names of its files.

    Raises:
        DataError: A file is none that an archive of a study holds.
    """
    homes: dict[Home, list[str]] = {}
    for name in archive.sizes:
        if name in (STUDY_FILE, REPORT_FILE):
            continue
        parts = PurePosixPath(name).parts
        depth = 3 if parts[0] == REFERENCES else 2
        home, rest = parts[:depth], "/".join(parts[depth:])
        if not rest or not _belongs(home, rest):
            raise DataError(f"{archive.path}: {name} is no file of a study.")
        homes.setdefault(home, []).append(name)
    return list(homes.items())


def _belongs(home: Home, rest: str) -> bool:
    """Whether an artifact that lies there may have such a file."""
    if home[0] == REFERENCES:
        return home[1] in FOLDERS.values() and rest in (MANIFEST, *COMPANIONS)
    return home[0] in _WHOLE_FOLDERS


def _check_contents(archive: StudyArchive, homes: Iterable[tuple[Home, list[str]]]) -> None:
    """Whether the archive says that it is a study, of a version that is known, and of all this."""
    contents = _json(archive, STUDY_FILE)
    if contents.get("kind") != "study":
        raise DataError(f"{archive.path}: {STUDY_FILE} does not say that it is a study.")
    version = contents.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise DataError(
            f"{archive.path}: format version {version!r}; this program reads up to "
            f"{FORMAT_VERSION}.",
            hint="pip install --upgrade hypencli",
        )
    listed = [contents.get(key) for key in ("artifacts", REFERENCES)]
    actual_contents: list[list[str]] = [[], []]
    for home, _ in homes:
        actual_contents[home[0] == REFERENCES].append(home[-1])
    for said, actual in zip(listed, actual_contents, strict=True):
        if not isinstance(said, list) or sorted(map(str, said)) != sorted(actual):
            raise DataError(f"{archive.path}: {STUDY_FILE} lists other artifacts than there are.")


def _json(archive: StudyArchive, name: str) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{archive.path}, {name}: not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise DataError(f"{archive.path}, {name}: not a JSON object.")
    return value


def _unpack(archive: StudyArchive, home: Home, names: list[str], staging: Path, task: Task) -> Path:
    """The files of one artifact, after those sizes that its manifest says."""
    place = "/".join(home)
    manifest = _json(archive, f"{place}/{MANIFEST}")
    if home[-2] not in [folder for kind, folder in FOLDERS.items() if kind == manifest.get("kind")]:
        raise DataError(f"{archive.path}: {place} is of the kind {manifest.get('kind')!r:.40}.")
    _check_sizes(archive, place, names, manifest)
    for name in names:
        archive.extract(name, staging / name)
        task.advance()
    return staging.joinpath(*home)


def _check_sizes(
    archive: StudyArchive, place: str, names: list[str], manifest: dict[str, Any]
) -> None:
    """Whether each file is one that the manifest lists, and of the size that it says."""
    records = manifest.get("files")
    sizes = {
        f"{place}/{record.get('path')}": record.get("size_bytes")
        for record in (records if isinstance(records, list) else [])
        if isinstance(record, dict)
    }
    for name in names:
        if name != f"{place}/{MANIFEST}" and sizes.get(name) != archive.sizes[name]:
            raise DataError(
                f"{archive.path}: {name} is {archive.sizes[name]:,} bytes long, its manifest says "
                f"{sizes.get(name, 'nothing of it')}."
            )
