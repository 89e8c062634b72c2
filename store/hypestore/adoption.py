"""Adoption: artifacts that another store made are checked together, then moved into this one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hypestore.errors import (
    ArtifactNotFound,
    DamagedArtifact,
    InvalidContent,
    NameTaken,
    refuse_open_limit,
)
from hypestore.files import (
    atomic_write_text,
    make_folder,
    remove_folder,
    sha256_file,
    sync_folder,
    sync_tree,
    writing_in,
)
from hypestore.inventory import Inventory
from hypestore.layout import Layout
from hypestore.manifest import (
    MANIFEST_NAME,
    NAME_RULE,
    ORDER,
    SHORTENED,
    Kind,
    Manifest,
    can_be_name,
    clean_id_prefix,
    inputs_hash,
    read_manifest,
)
from hypestore.runs.draft import QUERIES_NAME, QUERIES_SCHEMA, RESULTS_NAME, RESULTS_SCHEMA
from hypestore.runs.evaluations import (
    METRICS_NAME,
    METRICS_SCHEMA,
    PER_QUERY_NAME,
    PER_QUERY_SCHEMA,
)
from hypestore.tables import MAX_TABLE_BYTES, refuse_bomb
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold

_FIRST_YEAR, _LAST_YEAR = 1970, 9000
"""Years of manifests that are accepted; years beyond leave the calendar in other time zones."""

_SCHEMAS: dict[Kind, dict[str, pa.Schema]] = {
    "run": {RESULTS_NAME: RESULTS_SCHEMA, QUERIES_NAME: QUERIES_SCHEMA},
    "evaluation": {METRICS_NAME: METRICS_SCHEMA, PER_QUERY_NAME: PER_QUERY_SCHEMA},
}
"""Files that an artifact of a kind must have, with their columns."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an adoption brought.

    Attributes:
        artifacts: New artifacts, parents first.
        references: New references: manifests of artifacts that stay in the other store.
        existing: Artifacts that existed in this store and are unchanged.
        unnamed: New artifacts that lost their names, since existing artifacts have them.
    """

    artifacts: tuple[Manifest, ...]
    references: tuple[Manifest, ...]
    existing: tuple[Manifest, ...]
    unnamed: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class _CheckedFolder:
    """A folder whose files were checked against its manifest."""

    folder: Path
    manifest: Manifest


def adopt(
    inventory: Inventory,
    artifacts: Iterable[Path],
    references: Iterable[Path],
    *,
    drop_names: bool = False,
    max_table_bytes: int = MAX_TABLE_BYTES,
) -> Adopted:
    """Move folders of artifacts into the store, after all of them were checked.

    Args:
        inventory: The artifacts of the store.
        artifacts: Folders of whole artifacts, named by their ids, on the store's file system.
        references: Folders of artifacts that stay in the other store: a manifest, with all, some
            or none of its files.
        drop_names: Whether an artifact loses its name if an existing artifact has it, or if it
            cannot be a name.
        max_table_bytes: Maximum size of all tables together in memory.

    Raises:
        DamagedArtifact: A manifest cannot be read, or files differ from their manifest.
        InvalidContent: An id does not follow from its inputs, a file has other columns, or a number
            or date is beyond what the catalog can hold.
        ArtifactNotFound: A parent is neither among the folders nor in the store.
        NameTaken: An existing artifact has a name, or it cannot be one, and ``drop_names`` is
            False.
        ArtifactBusy: Another process makes one of the artifacts.
    """
    whole = _parents_first([_checked(folder, whole=True) for folder in artifacts])
    checked_references = [_checked(folder, whole=False) for folder in references]
    _check_tables([*whole, *checked_references], max_table_bytes)
    layout = inventory.layout
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        new = [one for one in whole if not inventory.has(one.manifest.id)]
        distant = [
            one for one in checked_references if not _is_referenced(inventory, one.manifest.id)
        ]
        _check_parents(
            inventory, [*new, *distant], {one.manifest.id for one in [*whole, *checked_references]}
        )
        unnamed = _taken_names(inventory, new)
        if unnamed and not drop_names:
            raise _name_taken(unnamed)
        for one in distant:
            _move(one.folder, layout.references, one.manifest)
        _number(inventory, new, unnamed)
        for one in new:
            with hold(layout.lock(one.manifest.id), what=f"The artifact {one.manifest.id}"):
                # Unfinished work of this id is no longer needed.
                remove_folder(layout.artifact(one.manifest.kind, one.manifest.id))
                _move(one.folder, layout, one.manifest)
    return Adopted(
        artifacts=tuple(inventory.get(one.manifest.id) for one in new),
        references=tuple(one.manifest for one in distant),
        existing=tuple(one.manifest for one in whole if one not in new),
        unnamed=tuple(one.manifest for one in unnamed),
    )


def _number(
    inventory: Inventory, new: Sequence[_CheckedFolder], unnamed: Sequence[_CheckedFolder]
) -> None:
    """Write the manifests anew: as the newest of this store, in the order that they had."""
    first = inventory.next_order()
    ordered = sorted(new, key=lambda one: (one.manifest.order, one.manifest.created))
    for order, one in enumerate(ordered, start=first):
        manifest = one.manifest
        changes = {"provenance": {**manifest.provenance, ORDER: order}}
        nameless = {"name": None} if one in unnamed else {}
        sealed = manifest.model_copy(update={**changes, **nameless})
        atomic_write_text(one.folder / MANIFEST_NAME, sealed.to_text())


def _checked(folder: Path, *, whole: bool) -> _CheckedFolder:
    """Check the manifest and the files of a folder."""
    try:
        manifest = read_manifest(folder / MANIFEST_NAME)
    except FileNotFoundError:
        raise DamagedArtifact(f"{folder} has no {MANIFEST_NAME}.") from None
    id_prefix, _, digest = manifest.id.rpartition("-")
    # A reference whose paths were shortened keeps its id, which its inputs no longer give.
    is_shortened = not whole and SHORTENED in manifest.provenance
    if clean_id_prefix(id_prefix) != id_prefix or not (
        is_shortened or digest == inputs_hash(manifest.kind, manifest.inputs)
    ):
        raise InvalidContent(
            f"The inputs of {manifest.kind} {manifest.id} do not give its id: the manifest was "
            "changed."
        )
    listed = {record.path: record for record in manifest.files}
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    present = {path.relative_to(folder).as_posix() for path in paths} - {MANIFEST_NAME}
    if not present <= listed.keys() or (whole and present != listed.keys()):
        odd = sorted(present ^ listed.keys() if whole else present - listed.keys())
        raise DamagedArtifact(
            f"The files of {manifest.kind} {manifest.id} are not those of its manifest: "
            f"{', '.join(odd[:5])}."
        )
    for name in sorted(present):
        path, record = folder / name, listed[name]
        if path.is_symlink() or path.stat().st_size != record.size_bytes:
            raise DamagedArtifact(f"{name} of {manifest.id} is not {record.size_bytes} bytes long.")
        if sha256_file(path) != record.sha256:
            raise DamagedArtifact(f"{name} of {manifest.id} is not what its manifest says.")
    _check_numbers(manifest)
    if whole:
        _check_schemas(folder, manifest)
    return _CheckedFolder(folder, manifest)


def _check_numbers(manifest: Manifest) -> None:
    """Refuse numbers and dates that no column of the catalog holds."""
    where = f"The manifest of {manifest.kind} {manifest.id}"
    if not _FIRST_YEAR <= manifest.created.year <= _LAST_YEAR:
        raise InvalidContent(f"{where} is of the year {manifest.created.year}.")
    k = manifest.inputs.get("k", 0)
    if isinstance(k, int) and not 0 <= k < 2**31:
        raise InvalidContent(f"{where} has a k that no run can have.")
    parts = [manifest.inputs, manifest.stats, manifest.provenance]
    values: list[object] = [*parts, manifest.size_bytes]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidContent(f"{where} has a whole number of more than 64 bits.")


def _check_tables(folders: Iterable[_CheckedFolder], limit: int) -> None:
    """Refuse tables that together take more than ``limit`` bytes in memory."""
    left = limit
    for one in folders:
        for path in sorted(one.folder.glob("*.parquet")):
            try:
                left -= refuse_bomb(path, pq.read_metadata(path), limit=left, exact=True)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                problem = f"{path.name} of {one.manifest.id} cannot be read: {error}."
                raise DamagedArtifact(problem) from error


def _check_schemas(folder: Path, manifest: Manifest) -> None:
    for name, schema in _SCHEMAS.get(manifest.kind, {}).items():
        try:
            actual = pq.read_schema(folder / name)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            refuse_open_limit(error)
            raise DamagedArtifact(f"{name} of {manifest.id} cannot be read: {error}.") from error
        if not actual.remove_metadata().equals(schema):
            raise InvalidContent(
                f"{name} of {manifest.kind} {manifest.id} has other columns than expected: "
                f"{', '.join(actual.names)}."
            )


def _parents_first(folders: Sequence[_CheckedFolder]) -> list[_CheckedFolder]:
    """The folders in an order in which parents come before their children."""
    by_id = {one.manifest.id: one for one in folders}
    ordered: dict[str, _CheckedFolder] = {}

    def visit(one: _CheckedFolder, below: tuple[str, ...]) -> None:
        if one.manifest.id in below:
            raise InvalidContent(f"{one.manifest.id} is among its own ancestors.")
        for parent in one.manifest.parents:
            if parent in by_id and parent not in ordered:
                visit(by_id[parent], (*below, one.manifest.id))
        ordered[one.manifest.id] = one

    for one in folders:
        if one.manifest.id not in ordered:
            visit(one, ())
    return list(ordered.values())


def _is_referenced(inventory: Inventory, artifact_id: str) -> bool:
    return inventory.has(artifact_id) or inventory.elsewhere.has(artifact_id)


def _check_parents(inventory: Inventory, folders: list[_CheckedFolder], coming: set[str]) -> None:
    for one in folders:
        for parent in one.manifest.parents:
            if parent not in coming and not _is_referenced(inventory, parent):
                raise ArtifactNotFound(
                    f"The {one.manifest.kind} {one.manifest.id} names the parent {parent!r}, which "
                    "neither came with it nor is here."
                )


def _taken_names(inventory: Inventory, new: list[_CheckedFolder]) -> list[_CheckedFolder]:
    """The new artifacts that cannot have their names here.

    A name is taken in the store or by an earlier new artifact, or is none that a new artifact may
    have.
    """
    taken = {(one.kind, one.name or "") for one in inventory.artifacts()}
    clashes = []
    for one in new:
        name = (one.manifest.kind, one.manifest.name or "")
        if one.manifest.name is not None and (name in taken or not can_be_name(name[1])):
            clashes.append(one)
        taken.add(name)
    return clashes


def _name_taken(unnamed: list[_CheckedFolder]) -> NameTaken:
    names = ", ".join(f"{one.manifest.kind} {one.manifest.name}" for one in unnamed[:10])
    more = f" and {len(unnamed) - 10} more" if len(unnamed) > 10 else ""
    return NameTaken(
        f"Other artifacts here have these names, or they cannot be names: {names}{more}.",
        hint=f"Add --drop-names: what comes in then goes by its id. {NAME_RULE}",
    )


def _move(folder: Path, layout: Layout, manifest: Manifest) -> None:
    target = layout.artifact(manifest.kind, manifest.id)
    with writing_in(layout.root):
        make_folder(target.parent)
        sync_tree(folder)
        folder.rename(target)
        sync_folder(target.parent)


def needless_references(inventory: Inventory) -> list[Manifest]:
    """References that no artifact descends from, or whose artifact is now in the store."""
    parents = {parent for one in inventory.artifacts() for parent in one.parents}
    elsewhere = {one.id: one for one in inventory.elsewhere.artifacts()}
    needed: set[str] = set()
    queue = [parent for parent in parents if not inventory.has(parent)]
    while queue:
        wanted = queue.pop()
        if wanted in elsewhere and wanted not in needed:
            needed.add(wanted)
            queue += [one for one in elsewhere[wanted].parents if not inventory.has(one)]
    return [one for artifact_id, one in elsewhere.items() if artifact_id not in needed]
