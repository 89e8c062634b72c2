"""Work in progress, as others see it: what it is, who holds it, since when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue, ValidationError

from hypestore.errors import AmbiguousReference, ArtifactBusy
from hypestore.files import remove_folder
from hypestore.layout import WORK_NAME, Layout
from hypestore.manifest import (
    KINDS,
    MANIFEST_NAME,
    Kind,
    WorkRecord,
)
from hypestore.work.locks import (
    hold,
    is_held,
    read_holder,
)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An artifact that is being made, or whose making was interrupted.

    Attributes:
        kind: What it will be.
        id: The id it will have.
        name: What the user calls it.
        started: When it was begun.
        inputs: What it is made from.
        path: Its folder.
        is_held: Whether a process works on it now.
        holder: Who does, in words; None where nobody does.
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
    """The record of unfinished work, or None where there is none that can be read."""
    try:
        return WorkRecord.model_validate_json((folder / WORK_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def work_folders(layout: Layout, kinds: Iterable[Kind] = KINDS) -> Iterator[tuple[Kind, Path]]:
    """Folders of artifacts without a manifest."""
    for kind in kinds:
        parent = layout.kind_folder(kind)
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if folder.is_dir() and folder.name[0] != "." and not (folder / MANIFEST_NAME).exists():
                yield kind, folder


def work_records(layout: Layout, kinds: Iterable[Kind] = KINDS) -> list[tuple[WorkRecord, Path]]:
    """The unfinished work that says what it is, with its folders, oldest first."""
    records = []
    for kind, folder in work_folders(layout, kinds):
        record = read_work(folder)
        if record is not None and (record.kind, record.id) == (kind, folder.name):
            records.append((record, folder))
    return sorted(records, key=lambda one: (one[0].started, one[0].id))


def locks_of(layout: Layout, artifact: str) -> list[Path]:
    """All lock files of an artifact: its own and those of parts and of the finish."""
    return [layout.lock(artifact), *sorted(layout.locks.glob(f"{artifact}.*.lock"))]


def holder_of(layout: Layout, artifact: str) -> str | None:
    """Who works on an artifact now, in words, or None."""
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


def remove_work(layout: Layout, folder: Path) -> None:
    """Remove the folder of unfinished work, unless it is an artifact by now.

    Raises:
        ArtifactBusy: A process works on it; the message says which.
    """
    what = f"The unfinished {folder.name}"
    for lock in locks_of(layout, folder.name)[1:]:  # of parts, and of the finish
        if is_held(lock):
            raise ArtifactBusy(
                f"{what} is in use by {read_holder(lock)}.",
                hint="Wait until it is done, or stop it, and run the same command again.",
            )
    with hold(layout.lock(folder.name), what=what):
        if not (folder / MANIFEST_NAME).exists():
            remove_folder(folder)


def find_unfinished(work: Sequence[Unfinished], reference: str) -> Unfinished | None:
    """The work of this id or name, or whose id begins so; None where nothing fits.

    Raises:
        AmbiguousReference: Several fit, and none by its whole id.
    """
    whole = [one for one in work if one.id == reference]
    named = [one for one in work if one.name == reference]
    begun = [one for one in work if reference and one.id.startswith(reference)]
    fitting = whole or named or begun
    if len(fitting) > 1:
        raise AmbiguousReference(
            f"{reference!r} fits {len(fitting)} that are unfinished.",
            hint="Give more of the id: " + ", ".join(f"{one.kind} {one.id}" for one in fitting),
        )
    return fitting[0] if fitting else None
