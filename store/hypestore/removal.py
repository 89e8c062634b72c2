"""Removing artifacts: never one that another was made from, unless both go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from hypestore.errors import ArtifactInUse
from hypestore.files import remove_folder
from hypestore.inventory import Inventory
from hypestore.locks import SHORT_WAIT_SECONDS, hold
from hypestore.manifest import Manifest


def remove(inventory: Inventory, reference: str, *, force: bool = False) -> list[str]:
    """Remove an artifact, with ``force`` also all that was made from it.

    Each folder leaves the store in one rename, so a kill leaves every artifact whole or gone; its
    children go first.

    Returns:
        The ids removed, in order.

    Raises:
        ArtifactNotFound: Nothing of this id or name.
        ArtifactInUse: Others were made from it; names them.
        ArtifactBusy: A process works on one of them.
    """
    layout = inventory.layout
    with hold(layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
        target = inventory.get(reference)
        doomed = _with_descendants(inventory.artifacts(), target)
        if len(doomed) > 1 and not force:
            raise _in_use(target, doomed[:-1])
        with ExitStack() as stack:
            for manifest in doomed:
                what = f"The {manifest.kind} {manifest.id}"
                stack.enter_context(hold(layout.lock(manifest.id), what=what))
            for manifest in doomed:
                remove_folder(layout.artifact(manifest.kind, manifest.id))
    return [manifest.id for manifest in doomed]


def _with_descendants(artifacts: Sequence[Manifest], target: Manifest) -> list[Manifest]:
    """``target`` and all that was made from it, each after its own children."""
    ordered: dict[str, Manifest] = {}

    def visit(manifest: Manifest) -> None:
        for child in artifacts:
            if manifest.id in child.parents and child.id not in ordered:
                visit(child)
        ordered[manifest.id] = manifest

    visit(target)
    return list(ordered.values())


def _in_use(target: Manifest, children: Sequence[Manifest]) -> ArtifactInUse:
    named = ", ".join(f"{child.kind} {child.name or child.id}" for child in children[:10])
    more = f" and {len(children) - 10} more" if len(children) > 10 else ""
    return ArtifactInUse(
        f"The {target.kind} {target.name or target.id} is needed by {len(children)} artifacts: "
        f"{named}{more}.",
        hint=f"To remove them all: hype rm {target.id} --force",
    )
