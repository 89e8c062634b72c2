"""Drafts: the folder of an artifact before it has a manifest, and how it is finished."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue

from hypestore.errors import (
    ArtifactNotFound,
    DamagedArtifact,
    IncompleteWork,
    InvalidContent,
    NameTaken,
    StoreError,
)
from hypestore.files import (
    atomic_write_text,
    delete,
    is_temporary,
    make_folder,
    remove_folder,
    sha256_file,
    sync_file,
    sync_folder,
    writing_in,
)
from hypestore.free_space import disk_full, is_disk_full, require_space
from hypestore.inventory import Inventory
from hypestore.layout import PROGRESS_NAME, SCRATCH_NAME, WORK_NAME, Layout
from hypestore.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    ORDER,
    FileRecord,
    Kind,
    Manifest,
    WorkRecord,
    artifact_id,
    check_name,
    plain_json,
    pretty_json,
)
from hypestore.verification import check_files
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.progress import Point, append_progress
from hypestore.work.unfinished import read_work

_LOG = logging.getLogger("hypestore")
_NOT_OF_THE_ARTIFACT = (WORK_NAME, PROGRESS_NAME, MANIFEST_NAME)


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What a draft needs of its store.

    Attributes:
        inventory: The artifacts of the store.
        after_commit: Called when an artifact was finished.
        after_existing: Called when the artifact existed already.
    """

    inventory: Inventory
    after_commit: Callable[[], None]
    after_existing: Callable[[], None]

    @property
    def layout(self) -> Layout:
        """Paths of the store."""
        return self.inventory.layout


def plan_work(
    kind: Kind,
    id_prefix: str,
    inputs: Mapping[str, Any],
    *,
    parents: tuple[str, ...] = (),
    name: str | None = None,
    layout: Mapping[str, JsonValue] | None = None,
) -> WorkRecord:
    """The record of an artifact that is to be made, with its id.

    Raises:
        InvalidContent: The name is malformed, or the inputs have no JSON form.
    """
    return WorkRecord(
        kind=kind,
        id=artifact_id(kind, id_prefix, inputs),
        name=check_name(name),
        inputs=plain_json(inputs, what="inputs"),
        parents=tuple(dict.fromkeys(parents)),
        layout=dict(layout or {}),
        started=datetime.now(UTC),
    )


class ArtifactDraft:
    """The folder of an artifact that is being made. The caller holds the locks."""

    def __init__(self, context: WriteContext, record: WorkRecord) -> None:
        self._context = context
        self.record = record
        self.path = context.layout.artifact(record.kind, record.id)

    @property
    def display_name(self) -> str:
        """Kind and id of the artifact, for messages."""
        return f"{self.record.kind} {self.record.id}"

    def existing(self) -> Manifest | None:
        """The manifest of the artifact if it is finished, else None."""
        return self._context.inventory.existing(self.record.kind, self.record.id)

    def check_existing(self, manifest: Manifest) -> None:
        """Check the file sizes of the finished artifact, then call ``after_existing``.

        Raises:
            DamagedArtifact: A file is missing or has another size; the message names it.
        """
        check_files(self.path, manifest)
        self._context.after_existing()

    def entered(
        self, take_locks: Callable[[contextlib.ExitStack], None], *, alone: bool
    ) -> tuple[Manifest | None, contextlib.ExitStack]:
        """Begin the folder under locks, unless the artifact is finished.

        Args:
            take_locks: Takes the locks and puts them on a stack.
            alone: Whether these locks exclude all others; then temporary files are deleted.

        Returns:
            The manifest of the finished artifact and no locks; or None and the locks held.
        """
        existing, locks = self.existing(), contextlib.ExitStack()
        if existing is None:
            with contextlib.ExitStack() as stack:
                take_locks(stack)
                existing = self.existing()  # another process may have finished it meanwhile
                if existing is None:
                    self.begin()
                    if alone:
                        self.clear_temporary()
                    locks = stack.pop_all()
        if existing is not None:
            self.check_existing(existing)
        return existing, locks

    def begin(self) -> None:
        """Make the folder, or resume the work in an existing one.

        Raises:
            ArtifactNotFound: A parent does not exist.
            NameTaken: Another artifact of this kind has the name.
            InvalidContent: Unfinished work of this id has another layout.
            DamagedArtifact: The folder holds a symbolic link.
        """
        self._refuse_links()
        # Under the lock of the store: nobody removes a parent before the record names it.
        layout = self._context.layout
        with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
            self._check_parents()
            self._check_name()
            self._record()

    def _record(self) -> None:
        """Make the folder with ``work.json``, unless they exist."""
        earlier = read_work(self.path)
        if earlier is not None and earlier.layout != self.record.layout:
            raise InvalidContent(
                f"Unfinished work in {self.path} has the layout {earlier.layout}, "
                f"and this command asks for {self.record.layout}.",
                hint="Run it with the same layout, or clear it with `hype doctor --clean`.",
            )
        with writing_in(self.path):
            make_folder(self.path)
            if earlier is None or earlier.name != self.record.name:
                text = pretty_json(self.record.model_dump(mode="json"))
                atomic_write_text(self.path / WORK_NAME, text)

    def _refuse_links(self) -> None:
        """Refuse symbolic links: writing and deleting would follow them out of the store."""
        for path in (self.path, *self.path.rglob("*")):
            if path.is_symlink():
                raise DamagedArtifact(
                    f"{path} is a link; unfinished work holds its files itself.",
                    hint=f"Begin anew: hype rm {self.record.id}, and the same command again.",
                )

    def clear_temporary(self) -> None:
        """Delete temporary files of killed processes. No other process may work in the folder."""
        for path in self.path.rglob("*.tmp"):
            if is_temporary(path):
                delete(path)

    def clear(self) -> None:
        """Delete everything but ``work.json``, so that the work begins anew."""
        for path in self.path.iterdir():
            if path.name != WORK_NAME:
                delete(path)

    def require_space(self, needed_bytes: int) -> None:
        """Raise ``DiskFull`` if the disk has less free space than needed."""
        require_space(self.path, needed_bytes, what=f"Making {self.display_name}")

    def refuse_full_disk(self, error: BaseException | None) -> None:
        """Raise ``DiskFull`` in place of an error of another library that means the same.

        Raises:
            DiskFull: ``error`` says that a write found no space.
        """
        if error is not None and not isinstance(error, StoreError) and is_disk_full(error):
            raise disk_full(self.path, error) from error

    def discard(self) -> None:
        """Delete the folder of unfinished work."""
        if self.existing() is not None:
            raise StoreError(
                f"The {self.display_name} is finished.", hint="Use `hype rm` to remove it."
            )
        remove_folder(self.path)

    def abandon(self) -> None:
        """Delete the folder of work that nothing resumes, after an error that is reported."""
        try:
            self.discard()
        except (StoreError, OSError) as error:
            _LOG.info("%s stays, unfinished: %s", self.path, error)

    def seal(self, *, stats: Mapping[str, Any], provenance: Mapping[str, Any]) -> Manifest:
        """Flush and hash the files, then write the manifest. From then on the artifact exists.

        Returns:
            The manifest; that of another process if it finished the artifact first.

        Raises:
            ArtifactNotFound: A parent was removed meanwhile.
            NameTaken: Another artifact took the name meanwhile.
        """
        plain_stats = plain_json(stats, what="stats")
        plain_provenance = plain_json(provenance, what="provenance")
        files = self._flush_files()
        store_lock = self._context.layout.store_lock
        with hold(store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
            first = self.existing()
            if first is not None:
                return first
            self._check_parents()
            self._check_name()
            manifest = Manifest(
                format_version=FORMAT_VERSION,
                kind=self.record.kind,
                id=self.record.id,
                name=self.record.name,
                created=datetime.now(UTC),
                inputs=self.record.inputs,
                parents=self.record.parents,
                files=files,
                stats=plain_stats,
                provenance={**plain_provenance, ORDER: self._context.inventory.next_order()},
            )
            (self.path / PROGRESS_NAME).unlink(missing_ok=True)
            (self.path / WORK_NAME).unlink(missing_ok=True)
            atomic_write_text(self.path / MANIFEST_NAME, manifest.to_text())
            sync_folder(self.path.parent)
        # Not earlier: without a manifest, interrupted work resumes from these files.
        remove_folder(self.path / SCRATCH_NAME)
        self._context.after_commit()
        return manifest

    def _flush_files(self) -> tuple[FileRecord, ...]:
        if not self.path.is_dir():
            raise IncompleteWork(f"The folder {self.path} of the {self.display_name} is gone.")
        records = []
        for path in sorted(self.path.rglob("*")):
            relative = path.relative_to(self.path).as_posix()
            if relative.split("/")[0] == SCRATCH_NAME:
                continue
            if path.is_symlink():
                raise InvalidContent(f"{path} is a link; an artifact holds its files itself.")
            if path.is_dir():
                sync_folder(path)
            elif not is_temporary(path) and relative not in _NOT_OF_THE_ARTIFACT:
                sync_file(path)
                size = path.stat().st_size
                records.append(FileRecord(path=relative, size_bytes=size, sha256=sha256_file(path)))
        sync_folder(self.path)
        return tuple(sorted(records, key=lambda record: record.path))

    def _check_parents(self) -> None:
        for parent in self.record.parents:
            if not self._context.inventory.has(parent):
                raise ArtifactNotFound(
                    f"The {self.display_name} names the parent {parent!r}, which is not in "
                    f"{self._context.layout.root}.",
                    hint="`hype ls` shows what there is.",
                )

    def _check_name(self) -> None:
        if self.record.name is None:
            return
        for other in self._context.inventory.artifacts(self.record.kind):
            if other.name == self.record.name and other.id != self.record.id:
                raise NameTaken(
                    f"The {other.kind} {other.id} is called {other.name!r}, and was made from "
                    f"other inputs than {self.record.id}.",
                    hint=f"Choose another name, or remove the first: hype rm {other.id}",
                )


class Draft:
    """An unfinished artifact, held by one process at a time. Use it as a context manager.

    After entering, either ``existing`` is the manifest of the finished artifact and there is
    nothing to do, or the folder ``path`` takes files. Leaving without ``commit`` keeps the files,
    so that the same work can be resumed; where nothing resumes it, an error deletes them.

    >>> from tempfile import mkdtemp
    >>> import hypestore as hs
    >>> store = hs.Store.create(mkdtemp())
    >>> with store.draft("model", "tiny", {"seed": 1}) as draft:
    ...     if draft.existing is None:
    ...         _ = (draft.path / "model.safetensors").write_bytes(b"...")
    ...     manifest = draft.commit(stats={"steps": 3})
    >>> manifest.files[0].path, manifest.stats
    ('model.safetensors', {'steps': 3})

    Attributes:
        id: The id, from kind and inputs.
        path: The folder of the artifact.
        existing: The manifest if the artifact is finished, else None.
    """

    def __init__(
        self,
        context: WriteContext,
        record: WorkRecord,
        *,
        wait_seconds: float = 0.0,
        resumes: bool = True,
    ) -> None:
        self._context = context
        self._draft = ArtifactDraft(context, record)
        self._wait_seconds = wait_seconds
        self._resumes = resumes
        self._locks = contextlib.ExitStack()
        self.id = record.id
        self.path = self._draft.path
        self.existing: Manifest | None = None

    def __enter__(self) -> Self:
        self.existing, self._locks = self._draft.entered(self._take_lock, alone=True)
        return self

    def _take_lock(self, stack: contextlib.ExitStack) -> None:
        lock = self._context.layout.lock(self.id)
        what = f"The {self._draft.display_name}"
        stack.enter_context(hold(lock, what=what, wait_seconds=self._wait_seconds))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._locks:
            if error is not None and self.existing is None and not self._resumes:
                self._draft.abandon()
        self._draft.refuse_full_disk(error)

    def require_space(self, needed_bytes: int) -> None:
        """Refuse work that needs more space than the disk has.

        Raises:
            DiskFull: Less is free; the message has both numbers.
        """
        self._draft.require_space(needed_bytes)

    def progress(self, points: Iterable[Point]) -> None:
        """Log points ``(step, name, value)``, which other processes can read at once.

        They are not part of the artifact. Steps may go back if work resumes from an earlier
        checkpoint; then the later points no longer count.

        Raises:
            StoreError: The artifact is finished.
        """
        if self.existing is not None:
            raise StoreError(f"The {self._draft.display_name} is finished and makes no progress.")
        append_progress(self.path, points)

    def commit(
        self,
        *,
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Finish the artifact: flush and hash every file, then write the manifest.

        The folder ``unfinished`` is not part of the artifact and is deleted afterwards.

        Args:
            stats: Results: counts, sizes, times.
            provenance: How it was made: versions, seed, hardware.

        Returns:
            The manifest; the existing one if the artifact was finished before.
        """
        if self.existing is None:
            self.existing = self._draft.seal(stats=stats or {}, provenance=provenance or {})
        return self.existing

    def discard(self) -> None:
        """Delete all files of the unfinished artifact."""
        self._draft.discard()
