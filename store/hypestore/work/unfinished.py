"""Unfinished work of a store: finding it, seeing who holds it, and removing it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue, ValidationError

from hypestore.errors import AmbiguousReference, ArtifactBusy, refuse_open_limit
from hypestore.files import listed, remove_folder
from hypestore.layout import WORK_NAME, Layout
from hypestore.manifest import KINDS, MANIFEST_NAME, Kind, WorkRecord
from hypestore.work.locks import hold, is_held, read_holder


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An artifact that is being made, or whose making was interrupted.

    Attributes:
        kind: Kind of the artifact.
        id: Id of the artifact.
        name: Name that the user gave it, or None.
        started: When the work began.
        inputs: Inputs of the artifact.
        path: Its folder.
        is_held: Whether a process works on it now.
        holder: That process in words, or None.
    """

    kind: Kind
    id: str
    name: str | None
    started: datetime
    inputs: dict[str, JsonValue]
    path: Path
    is_held: bool
    holder: str | None


def read_work(folder: Path) -> WorkRecord | None:
    """The content of ``work.json`` in a folder; None if it is missing or malformed."""
    try:
        return WorkRecord.model_validate_json((folder / WORK_NAME).read_bytes())
    except OSError as error:
        refuse_open_limit(error)
        return None
    except ValidationError:
        return None


def work_folders(layout: Layout, kinds: Iterable[Kind] = KINDS) -> Iterator[tuple[Kind, Path]]:
    """Folders without a manifest, each with the kind of its artifact."""
    for kind in kinds:
        for folder in listed(layout.kind_folder(kind))[0]:
            if folder.name[0] != "." and folder.is_dir() and not _has_manifest(folder):
                yield kind, folder


def _has_manifest(folder: Path) -> bool:
    """Whether a folder has a manifest, which may be a link that leads nowhere."""
    return os.path.lexists(folder / MANIFEST_NAME)


def work_records(layout: Layout, kinds: Iterable[Kind] = KINDS) -> list[tuple[WorkRecord, Path]]:
    """Unfinished work with a valid ``work.json``: record and folder, oldest first."""
    records = []
    for kind, folder in work_folders(layout, kinds):
        record = read_work(folder)
        if record is not None and (record.kind, record.id) == (kind, folder.name):
            records.append((record, folder))
    return sorted(records, key=lambda one: (one[0].started, one[0].id))


def unreadable_work(layout: Layout) -> list[Path]:
    """Every ``work.json`` that cannot be read: what that work is made from is not known."""
    records = (folder / WORK_NAME for _, folder in work_folders(layout))
    return [path for path in records if os.path.lexists(path) and read_work(path.parent) is None]


def locks_of(layout: Layout, artifact: str) -> list[Path]:
    """All lock files of an artifact: of the whole, of parts, and of finishing it."""
    return [layout.lock(artifact), *sorted(layout.locks.glob(f"{artifact}.*.lock"))]


def holder_of(layout: Layout, artifact: str) -> str | None:
    """The process that works on an artifact now, in words, or None."""
    held = next((lock for lock in locks_of(layout, artifact) if is_held(lock)), None)
    return None if held is None else str(read_holder(held))


def unfinished(layout: Layout, kinds: Iterable[Kind] = KINDS) -> list[Unfinished]:
    """The unfinished work of a store, oldest first."""
    return [_unfinished(layout, *record) for record in work_records(layout, kinds)]


def _unfinished(layout: Layout, record: WorkRecord, folder: Path) -> Unfinished:
    holder = holder_of(layout, record.id)
    return Unfinished(
        kind=record.kind,
        id=record.id,
        name=record.name,
        started=record.started,
        inputs=record.inputs,
        path=folder,
        is_held=holder is not None,
        holder=holder,
    )


@contextmanager
def hold_whole(layout: Layout, artifact: str, *, what: str) -> Iterator[None]:
    """Hold an artifact or unfinished work against all others, also those who make a part of it.

    The main lock comes first: who begins a part meanwhile takes the lock of the part, then waits
    for the main lock before it looks at the folder.

    Raises:
        ArtifactBusy: A process works on it; the message names the process.
    """
    with hold(layout.lock(artifact), what=what):
        for lock in locks_of(layout, artifact)[1:]:  # locks of parts, and of finishing
            if is_held(lock):
                raise ArtifactBusy(
                    f"{what} is in use by {read_holder(lock)}.",
                    hint="Wait until it is done, or stop it, and run the same command again.",
                )
        yield


def remove_work(layout: Layout, folder: Path) -> None:
    """Remove the folder of unfinished work, unless it was finished meanwhile.

    Raises:
        ArtifactBusy: A process works on it; the message names the process.
    """
    with hold_whole(layout, folder.name, what=f"The unfinished {folder.name}"):
        if not _has_manifest(folder):
            remove_folder(folder)


def find_unfinished(work: Sequence[Unfinished], reference: str) -> Unfinished | None:
    """Unfinished work by id, name, or the beginning of its id; None if nothing fits.

    Raises:
        AmbiguousReference: Several fit, and none by its whole id.
    """
    whole = [one for one in work if one.id == reference]
    named = [one for one in work if one.name == reference]
    begun = [one for one in work if reference and one.id.startswith(reference)]
    fitting = whole or named or begun
    if len(fitting) > 1:
        raise AmbiguousReference(
            f"{reference!r} fits {len(fitting)} unfinished artifacts.",
            hint="Give more of the id: " + ", ".join(f"{one.kind} {one.id}" for one in fitting),
        )
    return fitting[0] if fitting else None
