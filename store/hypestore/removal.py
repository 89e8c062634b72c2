"""Removing artifacts: an artifact stays as long as another has it as a parent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypestore.errors import ArtifactInUse, ArtifactNotFound, DamagedArtifact
from hypestore.files import remove_folder
from hypestore.inventory import Inventory
from hypestore.manifest import Kind, Manifest
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.unfinished import find_unfinished, remove_work, unfinished


@dataclass(frozen=True, slots=True)
class _Doomed:
    """An artifact to be removed; its manifest may be unreadable."""

    kind: Kind
    id: str
    label: str


def remove(inventory: Inventory, reference: str, *, force: bool = False) -> list[str]:
    """Remove an artifact; with ``force`` also everything that was made from it.

    Each folder leaves the store by one rename, children before parents, so that a killed command
    leaves every artifact whole or gone. With ``force``, an artifact with a damaged manifest is
    removed too, by its id. If no artifact fits, unfinished work of this id or name is removed.

    Returns:
        The removed ids, in order.

    Raises:
        ArtifactNotFound: Nothing has this id or name.
        ArtifactInUse: Other artifacts were made from it; the message names them.
        ArtifactBusy: A process works on one of them.
        DamagedArtifact: The manifest cannot be read, and ``force`` is False.
    """
    layout = inventory.layout
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        try:
            target = _target(inventory, reference, force=force)
        except ArtifactNotFound:
            work = find_unfinished(unfinished(layout), reference)
            if work is None:
                raise
            remove_work(layout, work.path)
            return [work.id]
        doomed = _with_descendants(inventory.artifacts(), target)
        if len(doomed) > 1 and not force:
            raise _in_use(target, doomed[:-1])
        with contextlib.ExitStack() as stack:
            for artifact in doomed:
                what = f"The {artifact.kind} {artifact.id}"
                stack.enter_context(hold(layout.lock(artifact.id), what=what))
            for artifact in doomed:
                remove_folder(layout.artifact(artifact.kind, artifact.id))
    return [artifact.id for artifact in doomed]


def _target(inventory: Inventory, reference: str, *, force: bool) -> _Doomed:
    try:
        return _doomed(inventory.get(reference))
    except DamagedArtifact:
        kind = inventory.kind_of(reference)
        if kind is None or not force:
            raise
        return _Doomed(kind, reference, reference)


def _doomed(manifest: Manifest) -> _Doomed:
    return _Doomed(manifest.kind, manifest.id, manifest.name or manifest.id)


def _with_descendants(artifacts: Iterable[Manifest], target: _Doomed) -> list[_Doomed]:
    """``target`` and its descendants, children before parents."""
    children: dict[str, list[Manifest]] = {}
    for manifest in artifacts:
        for parent in manifest.parents:
            children.setdefault(parent, []).append(manifest)
    ordered: dict[str, _Doomed] = {}

    def visit(artifact: _Doomed) -> None:
        for child in children.get(artifact.id, ()):
            if child.id not in ordered:
                visit(_doomed(child))
        ordered[artifact.id] = artifact

    visit(target)
    return list(ordered.values())


def _in_use(target: _Doomed, children: Sequence[_Doomed]) -> ArtifactInUse:
    named = ", ".join(f"{child.kind} {child.label}" for child in children[:10])
    more = f" and {len(children) - 10} more" if len(children) > 10 else ""
    return ArtifactInUse(
        f"The {target.kind} {target.label} is needed by {len(children)} artifacts: {named}{more}.",
        hint=f"To remove them all: hype rm {target.id} --force",
    )
