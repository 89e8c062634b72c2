"""Examining a store: which files are damaged, unfinished or left over, and what to do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hypestore.adoption import needless_references
from hypestore.caches.caches import Caches
from hypestore.caches.record import cache_problems
from hypestore.catalog.catalog import Catalog
from hypestore.errors import ArtifactBusy, StoreNotWritable
from hypestore.files import (
    delete,
    is_temporary,
    listed,
    present_files,
    present_size,
    remove_folder,
    temporaries,
    writing_in,
)
from hypestore.inventory import DamagedManifest, Inventory, InventorySnapshot
from hypestore.layout import SCRATCH_NAME, WORK_NAME, Layout
from hypestore.manifest import MANIFEST_NAME, Kind, Manifest, has_seal, inputs_hash
from hypestore.verification import MISSING, file_problem
from hypestore.work.locks import SHORT_WAIT_SECONDS, clear_staging_locks, hold, is_held
from hypestore.work.unfinished import holder_of, locks_of, read_work, remove_work, work_folders

_LISTED = 10

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a store.

    Attributes:
        severity: ``error``: an artifact is damaged; ``warning``: something to tidy up or finish;
            ``info``: worth knowing.
        artifact: Id of the artifact, or None.
        file: Path relative to the store, or None.
        problem: What is wrong.
        remedy: What to do.
    """

    severity: Severity
    artifact: str | None
    file: str | None
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The result of examining a store.

    Attributes:
        findings: The problems, errors first.
        artifacts: Number of artifacts.
        files: Number of their files.
        bytes: Size of these files by their manifests.
        caches: Number of caches, after cleaning; each may be deleted.
        cache_bytes: Size of the files of all caches.
        checksums: Whether the content of every file was compared with its manifest.
    """

    findings: tuple[Finding, ...]
    artifacts: int
    files: int
    bytes: int
    caches: int
    cache_bytes: int
    checksums: bool

    @property
    def healthy(self) -> bool:
        """Whether no finding is an error, that is, no artifact is damaged."""
        return all(finding.severity != "error" for finding in self.findings)


def examine(
    inventory: Inventory, catalog: Catalog, *, checksums: bool, rebuild: bool, clean: bool
) -> DoctorReport:
    """Examine a store; ``Store.doctor`` describes the arguments."""
    caches = Caches(inventory.layout)
    kept = _unreadable(inventory) if clean else ()
    if clean and not kept:
        _clean(inventory.layout)
        _forget(inventory)
        caches.clean()
        catalog.sync()
    rebuilt = list(_rebuild(catalog)) if rebuild else []
    snapshot = inventory.snapshot()
    findings = [
        *rebuilt,
        *_not_cleaned(kept),
        *_unreachable_folders(inventory),
        *(_damaged_manifest(damage) for damage in snapshot.damaged),
        *_artifact_findings(inventory, snapshot, checksums=checksums),
        *(_unsealed(inventory.layout, snapshot) if checksums else ()),
        *_reference_findings(inventory, checksums=checksums),
        *_unfinished(inventory.layout, snapshot),
        *_leftovers(inventory.layout),
        *_cache_findings(caches, checksums=checksums),
        *_catalog_findings(catalog, checksums=checksums),
        *_left_out(catalog),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    cached = caches.listed()
    return DoctorReport(
        findings=tuple(findings),
        artifacts=len(snapshot.manifests),
        files=sum(len(manifest.files) for manifest in snapshot.manifests),
        bytes=sum(manifest.size_bytes for manifest in snapshot.manifests),
        caches=len(cached),
        cache_bytes=sum(cache.size_bytes for cache in cached),
        checksums=checksums,
    )


def _unreadable(inventory: Inventory) -> tuple[str, ...]:
    """A sentence about each manifest and folder, here and of references, that cannot be read."""
    return (*inventory.snapshot().unreadable, *inventory.elsewhere.snapshot().unreadable)


def _not_cleaned(problems: Sequence[str]) -> Iterator[Finding]:
    if problems:
        yield Finding(
            "error",
            None,
            None,
            "nothing was cleaned, since the manifests and folders below cannot be read: what looks "
            "needless may belong to them",
            "Mend them, then: hype doctor --clean",
        )


def _unreachable_folders(inventory: Inventory) -> Iterator[Finding]:
    for place in (inventory, inventory.elsewhere):
        for folder, problem in place.snapshot().unreachable:
            yield Finding(
                "error",
                None,
                _relative(inventory.layout, folder),
                f"{problem}: the artifacts in it are not known",
                "Mount the disk, make the folder readable, or delete the link if it is not needed.",
            )


def _damaged_manifest(damage: DamagedManifest) -> Finding:
    return Finding(
        "error",
        damage.id,
        f"{damage.path.parent.parent.name}/{damage.id}/{MANIFEST_NAME}",
        damage.error.message,
        damage.error.hint
        if "version" in damage.error.message and damage.error.hint
        else f"Restore it from a copy, or remove and make it again: hype rm {damage.id} --force",
    )


def _artifact_findings(
    inventory: Inventory, snapshot: InventorySnapshot, *, checksums: bool
) -> Iterator[Finding]:
    layout = inventory.layout
    existing = {manifest.id for manifest in snapshot.manifests}
    existing |= {manifest.id for manifest in inventory.elsewhere.artifacts()}
    names: dict[tuple[Kind, str], str] = {}
    for manifest in snapshot.manifests:
        if not manifest.id.endswith(f"-{inputs_hash(manifest.kind, manifest.inputs)}"):
            problem = "its inputs do not give its id: the manifest was changed"
            yield _about(layout, manifest, MANIFEST_NAME, problem)
        for parent in manifest.parents:
            if parent not in existing:
                yield _missing_parent(manifest, parent, snapshot)
        if manifest.name is not None:
            first = names.setdefault((manifest.kind, manifest.name), manifest.id)
            problem = ""
            if first != manifest.id:
                problem = f"its name {manifest.name!r} is also that of {first}"
            elif manifest.name != manifest.id and manifest.name in existing:
                problem = f"its name {manifest.name!r} is the id of another, which it means"
            if problem:
                yield Finding("warning", manifest.id, None, problem, "Refer to it by its id.")
        of_files = list(_file_findings(layout, manifest, checksums=checksums))
        # An artifact that was removed meanwhile has no problems.
        if layout.manifest(manifest.kind, manifest.id).exists():
            yield from of_files


def _missing_parent(child: Manifest, parent: str, snapshot: InventorySnapshot) -> Finding:
    state = "is not in the store"
    remedy = f"Copy {parent} into the store, or remove this: hype rm {child.id} --force"
    if parent in {damage.id for damage in snapshot.damaged}:
        state, remedy = "cannot be read", f"Mend {parent} first."
    elif snapshot.unreachable:
        state, remedy = "is in no folder that can be read", "Mend those folders first."
    return Finding("error", child.id, None, f"its parent {parent} {state}", remedy)


def _unsealed(layout: Layout, snapshot: InventorySnapshot) -> Iterator[Finding]:
    """Manifests without a seal: a change of them would not be noticed."""
    names = []
    for path in (layout.manifest(one.kind, one.id) for one in snapshot.manifests):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            if not has_seal(path):
                names.append(_relative(layout, path))
    if names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        yield Finding(
            "info",
            None,
            None,
            f"{len(names)} manifests have no seal, so that a change of their names, stats or "
            f"provenance would not be found: {', '.join(names[:_LISTED])}{more}",
            "Nothing, where hype before 0.4 wrote them: newer artifacts have one.",
        )


def _reference_findings(inventory: Inventory, *, checksums: bool) -> Iterator[Finding]:
    """Problems of references: their parents, and those of their files that are in this store."""
    snapshot = inventory.elsewhere.snapshot()
    existing = {manifest.id for manifest in (*inventory.artifacts(), *snapshot.manifests)}
    yield from (_damaged_manifest(damage) for damage in snapshot.damaged)
    for manifest in snapshot.manifests:
        if missing := [parent for parent in manifest.parents if parent not in existing]:
            yield _unsound(inventory, manifest, f"its parents are not known: {', '.join(missing)}")
        folder = inventory.layout.references.artifact(manifest.kind, manifest.id)
        for record in manifest.files:
            problem = file_problem(folder / record.path, record, contents=checksums)
            if problem not in (None, MISSING):
                yield _unsound(inventory, manifest, f"its {record.path} {problem}")


def _unsound(inventory: Inventory, manifest: Manifest, problem: str) -> Finding:
    folder = inventory.layout.references.artifact(manifest.kind, manifest.id)
    return Finding(
        "error",
        manifest.id,
        _relative(inventory.layout, folder),
        problem,
        "Delete the folder and import the study again.",
    )


def _file_findings(layout: Layout, manifest: Manifest, *, checksums: bool) -> Iterator[Finding]:
    folder = layout.artifact(manifest.kind, manifest.id)
    for record in manifest.files:
        problem = file_problem(folder / record.path, record, contents=checksums)
        if problem is not None:
            yield _about(layout, manifest, record.path, problem)
    listed = {record.path for record in manifest.files} | {MANIFEST_NAME}
    for path in present_files(folder):
        relative = path.relative_to(folder).as_posix()
        if relative not in listed and not any(is_temporary(Path(x)) for x in relative.split("/")):
            left = relative == WORK_NAME or relative.split("/")[0] == SCRATCH_NAME
            yield Finding(
                "info" if left else "warning",
                manifest.id,
                _relative(layout, path),
                "is not in the manifest",
                "hype doctor --clean" if left else "Delete it if you do not know it.",
            )


def _about(layout: Layout, manifest: Manifest, file: str, problem: str) -> Finding:
    path = layout.artifact(manifest.kind, manifest.id) / file
    return Finding(
        "error",
        manifest.id,
        _relative(layout, path),
        problem,
        f"Restore it from a copy, or remove and make it again: hype rm {manifest.id} --force",
    )


def _relative(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _unfinished(layout: Layout, snapshot: InventorySnapshot) -> Iterator[Finding]:
    for kind, folder in work_folders(layout):
        files = [path for path in present_files(folder) if path.name != WORK_NAME]
        size = sum(map(present_size, files))
        holder = holder_of(layout, folder.name)
        record = read_work(folder)
        what = f"unfinished {kind}, {len(files)} files of {size:,} bytes"
        if record is None and os.path.lexists(folder / WORK_NAME):
            what = f"{WORK_NAME} cannot be read, so that no artifact can be removed: {what}"
        elif record is None and files:
            what = f"{MANIFEST_NAME} is missing: {what}"
        if holder is not None:
            problem = f"{what}, being made by {holder}"
            yield Finding("info", folder.name, _relative(layout, folder), problem, "Let it finish.")
            continue
        since = f", begun {record.started.isoformat(timespec='seconds')}" if record else ""
        yield Finding(
            "warning",
            folder.name,
            _relative(layout, folder),
            f"{what}{since}, nobody is at it",
            "Run its command again to go on where it stopped, or: hype doctor --clean",
        )


def _temporary_files(layout: Layout) -> Iterator[tuple[str | None, Path]]:
    """Temporary files and folders of ended processes, each with its artifact or None."""
    for path in sorted(layout.root.glob(".*.tmp")):
        lock = layout.staging_lock(path) if path.is_dir() else layout.store_lock
        if not is_held(lock):
            yield None, path
    yield from ((None, path) for path in Caches(layout).leftovers())
    for _, parent in (*layout.kind_folders(), *layout.references.kind_folders()):
        for folder in listed(parent)[0]:
            if is_temporary(folder):
                yield None, folder
            elif folder.is_dir():
                paths = temporaries(folder)
                if paths and not any(is_held(lock) for lock in locks_of(layout, folder.name)):
                    yield from ((folder.name, path) for path in paths)


def _leftovers(layout: Layout) -> Iterator[Finding]:
    for artifact, path in _temporary_files(layout):
        yield Finding(
            "warning",
            artifact,
            _relative(layout, path),
            "left over from a command that was killed",
            "hype doctor --clean",
        )


def _cache_findings(caches: Caches, *, checksums: bool) -> Iterator[Finding]:
    for cache in caches.listed():
        for problem in cache_problems(cache.path, contents=checksums):
            yield Finding(
                "warning",
                None,
                f"{cache.path.parent.name}/{cache.name}/{problem.file}",
                problem.problem,
                "hype doctor --clean, or nothing: the next command that needs it makes it again.",
            )


def _catalog_findings(catalog: Catalog, *, checksums: bool) -> Iterator[Finding]:
    state = catalog.in_step()
    if state and checksums:
        state = catalog.agrees()
    if state is False:
        problem = "the catalog is not in step with the artifacts"
        yield Finding("warning", None, catalog.path.name, problem, "hype doctor --rebuild")
    elif state is None:
        problem = "the catalog is open in another program and could not be compared"
        yield Finding("info", None, catalog.path.name, problem, "Close it there to compare.")


def _left_out(catalog: Catalog) -> Iterator[Finding]:
    """Artifacts with values that the catalog cannot hold."""
    for artifact, problem in catalog.left_out():
        remedy = f"Make it again, or remove it: hype rm {artifact} --force"
        what = f"is left out of the catalog: {problem}"
        yield Finding("warning", artifact, None, what, remedy)


def _rebuild(catalog: Catalog) -> Iterator[Finding]:
    try:
        catalog.rebuild()
    except (ArtifactBusy, StoreNotWritable) as error:
        problem = f"the catalog was not rebuilt: {error.message}"
        yield Finding("warning", None, catalog.path.name, problem, error.hint or "")


def _clean(layout: Layout) -> None:
    """Delete unfinished work, temporary files and needless work records that no process holds."""
    for _, folder in list(work_folders(layout)):
        _remove_unheld(layout, folder)
    for _, path in list(_temporary_files(layout)):
        # It may be gone: another process may be removing it.
        with writing_in(path.parent), contextlib.suppress(FileNotFoundError):
            delete(path)
    clear_staging_locks(layout)
    for _, parent in layout.kind_folders():
        for record in parent.glob(f"*/{WORK_NAME}"):
            if (record.parent / MANIFEST_NAME).exists():
                record.unlink(missing_ok=True)
        for scratch in parent.glob(f"*/{SCRATCH_NAME}"):
            if (scratch.parent / MANIFEST_NAME).exists():
                remove_folder(scratch)


def _forget(inventory: Inventory) -> None:
    """Delete references that no artifact needs. The lock keeps an import from adding some now."""
    layout = inventory.layout
    if not layout.references.root.is_dir():
        return
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        for reference in needless_references(inventory):
            remove_folder(layout.references.artifact(reference.kind, reference.id))


def _remove_unheld(layout: Layout, folder: Path) -> None:
    # Work that a process holds, or has just resumed, stays.
    with contextlib.suppress(ArtifactBusy):
        remove_work(layout, folder)
