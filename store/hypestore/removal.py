"""Removing artifacts: an artifact stays as long as another has it as a parent."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from hypestore.errors import ArtifactInUse, ArtifactNotFound, DamagedArtifact
from hypestore.files import remove_folder
from hypestore.inventory import Inventory, InventorySnapshot
from hypestore.layout import Layout
from hypestore.manifest import Kind, Manifest, WorkRecord
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.unfinished import (
    find_unfinished,
    hold_whole,
    remove_work,
    unfinished,
    unreadable_work,
    work_records,
)

_LISTED = 10


@dataclass(frozen=True, slots=True)
class _Doomed:
    """An artifact or unfinished work to be removed; the manifest may be unreadable."""

    kind: Kind
    id: str
    label: str


def remove(inventory: Inventory, reference: str, *, force: bool = False) -> list[str]:
    """Remove an artifact; with ``force`` also everything that was made from it.

    What is being made from it counts too. Each folder leaves the store by one rename, children
    before parents, so that a killed command leaves every artifact whole or gone. With ``force``, an
    artifact with a damaged manifest is removed too, by its id. If no artifact fits, unfinished work
    of this id or name is removed.

    Returns:
        The removed ids, in order.

    Raises:
        ArtifactNotFound: Nothing has this id or name.
        ArtifactInUse: Other artifacts, or unfinished work, were made from it; the message names
            them.
        ArtifactBusy: A process works on one of them.
        DamagedArtifact: A manifest, a folder or the record of unfinished work cannot be read, so
            that it is not known what was made from what.
    """
    layout = inventory.layout
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        snapshot = inventory.snapshot()
        damaged = (
            _damaged_target(snapshot, reference) if force and not snapshot.unreachable else None
        )
        if damaged is None:
            _refuse_unreadable(layout, snapshot)
            try:
                target = _doomed(inventory.get(reference))
            except ArtifactNotFound:
                work = find_unfinished(unfinished(layout), reference)
                if work is None:
                    raise
                remove_work(layout, work.path)
                return [work.id]
        else:
            target = damaged
        being_made = [record for record, _ in work_records(layout)]
        doomed = _with_descendants([*snapshot.manifests, *being_made], target)
        if len(doomed) > 1 and not force:
            raise _in_use(target, doomed[:-1])
        with contextlib.ExitStack() as stack:
            for one in doomed:
                stack.enter_context(hold_whole(layout, one.id, what=f"The {one.label}"))
            for one in doomed:
                remove_folder(layout.artifact(one.kind, one.id))
    return [one.id for one in doomed]


def _damaged_target(snapshot: InventorySnapshot, artifact_id: str) -> _Doomed | None:
    """The artifact of this id, if its manifest is damaged and its folder can be reached.

    Raises:
        StoreVersionError: The manifest has a newer format version.
    """
    for damage in snapshot.damaged:
        if damage.id == artifact_id:
            if not isinstance(damage.error, DamagedArtifact):
                raise damage.error
            return _Doomed(damage.kind, damage.id, f"{damage.kind} {damage.id}")
    return None


def _refuse_unreadable(layout: Layout, snapshot: InventorySnapshot) -> None:
    """Refuse to remove anything while it is not known what was made from what.

    Raises:
        DamagedArtifact: A manifest, a folder of a kind, or a record of work cannot be read.
    """
    problems = [
        *snapshot.unreadable,
        *(f"{path} cannot be read." for path in unreadable_work(layout)),
    ]
    if problems:
        more = f" And {len(problems) - _LISTED} more." if len(problems) > _LISTED else ""
        raise DamagedArtifact(
            "Nothing is removed, since it is not known what was made from what: "
            + " ".join(problems[:_LISTED])
            + more,
            hint="Run `hype doctor`: it says how to mend each of them.",
        )


def _doomed(one: Manifest | WorkRecord) -> _Doomed:
    state = "" if isinstance(one, Manifest) else "unfinished "
    return _Doomed(one.kind, one.id, f"{state}{one.kind} {one.name or one.id}")


def _with_descendants(made: Sequence[Manifest | WorkRecord], target: _Doomed) -> list[_Doomed]:
    """``target`` and its descendants, children before parents."""
    children: dict[str, list[Manifest | WorkRecord]] = {}
    for one in made:
        for parent in one.parents:
            children.setdefault(parent, []).append(one)
    ordered: dict[str, _Doomed] = {}

    def visit(artifact: _Doomed) -> None:
        for child in children.get(artifact.id, ()):
            if child.id not in ordered:
                visit(_doomed(child))
        ordered[artifact.id] = artifact

    visit(target)
    return list(ordered.values())


def _in_use(target: _Doomed, children: Sequence[_Doomed]) -> ArtifactInUse:
    named = ", ".join(child.label for child in children[:_LISTED])
    more = f" and {len(children) - _LISTED} more" if len(children) > _LISTED else ""
    return ArtifactInUse(
        f"The {target.label} is needed by {len(children)} artifacts: {named}{more}.",
        hint=f"To remove them all: hype rm {target.id} --force",
    )
