"""The artifacts of a store: their manifests, how to find them, parents and children. Read-only."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hypestore.errors import (
    AmbiguousReference,
    ArtifactNotFound,
    DamagedArtifact,
    StoreError,
    StoreVersionError,
)
from hypestore.files import broken_link, listed
from hypestore.layout import Layout
from hypestore.manifest import KINDS, MANIFEST_NAME, Kind, Manifest, plain_json, read_manifest

_LOG = logging.getLogger("hypestore")
_LISTED = 20
_LONGEST_NAME = 255
"""Bytes of the longest name that usual file systems have."""
_NAMED = 5
"""The most artifacts that are named to somebody who asks for one that is not there."""


@dataclass(frozen=True, slots=True)
class DamagedManifest:
    """A manifest that exists and cannot be used, with the error that says why."""

    kind: Kind
    id: str
    path: Path
    error: StoreError


@dataclass(frozen=True, slots=True)
class InventorySnapshot:
    """All manifests of a store at one moment, oldest first.

    Attributes:
        manifests: Those that can be read.
        damaged: Those that exist and cannot be used.
        unreachable: Folders of kinds that cannot be listed, each with the problem: the artifacts
            in them are not known.
    """

    manifests: tuple[Manifest, ...]
    damaged: tuple[DamagedManifest, ...]
    unreachable: tuple[tuple[Path, str], ...]

    @property
    def unreadable(self) -> tuple[str, ...]:
        """A sentence about each place whose artifacts are not known: nothing may be removed."""
        folders = (f"{path} {problem}." for path, problem in self.unreachable)
        return (*folders, *(damage.error.message for damage in self.damaged))


class Inventory:
    """The read side of a store.

    Parsed manifests are kept. As long as its file is unchanged, a manifest costs one ``stat``.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._parsed: dict[Path, tuple[tuple[int, int, int], Manifest]] = {}
        self._told: set[str] = set()

    @cached_property
    def elsewhere(self) -> Inventory:
        """The references: manifests of artifacts whose files are in another store.

        Some of these artifacts may be in this store too.
        """
        return Inventory(self.layout.references)

    def references(self) -> list[Manifest]:
        """Manifests of artifacts that are only in another store, oldest first."""
        return [one for one in self.elsewhere.artifacts() if not self.has(one.id)]

    def stamps(self) -> dict[str, tuple[str, str]]:
        """Path of each manifest -> id of its artifact, and a stamp of the file. No file is read."""
        file_stamps = {}
        for kind in KINDS:
            for path in self._manifest_paths(kind):
                with contextlib.suppress(OSError):  # removed meanwhile, or out of reach
                    stamp = "-".join(str(part) for part in _stamp(path))
                    file_stamps[str(path.relative_to(self.layout.root))] = (path.parent.name, stamp)
        return file_stamps

    def snapshot(self, kinds: Iterable[Kind] = KINDS) -> InventorySnapshot:
        """Read every manifest; damaged ones are returned separately."""
        manifests: list[Manifest] = []
        damaged: list[DamagedManifest] = []
        wanted = tuple(kinds)
        folders = (self.layout.root, *map(self.layout.kind_folder, wanted))
        unreachable = [(folder, listed(folder)[1]) for folder in folders]
        for kind in wanted:
            for path in self._manifest_paths(kind):
                try:
                    manifests.append(self._read(path, kind))
                except FileNotFoundError:
                    continue  # removed since the folder was listed
                except (DamagedArtifact, StoreVersionError) as error:
                    damaged.append(DamagedManifest(kind, path.parent.name, path, error))
        manifests.sort(key=lambda manifest: (manifest.order, manifest.created, manifest.id))
        return InventorySnapshot(
            tuple(manifests),
            tuple(damaged),
            tuple((folder, problem) for folder, problem in unreachable if problem is not None),
        )

    def next_order(self) -> int:
        """The order of the next artifact. The caller holds the lock of the store."""
        return 1 + max((manifest.order for manifest in self.artifacts()), default=0)

    def artifacts(self, kind: Kind | None = None) -> list[Manifest]:
        """All readable artifacts, oldest first; each damaged manifest is logged once."""
        snapshot = self.snapshot(KINDS if kind is None else (kind,))
        for message in snapshot.unreadable:
            if message not in self._told:
                self._told.add(message)
                _LOG.warning("left out: %s", message)
        return list(snapshot.manifests)

    def find(self, kind: Kind, inputs_subset: Mapping[str, Any]) -> list[Manifest]:
        """Artifacts of a kind whose inputs contain all these values, oldest first."""
        wanted = plain_json(inputs_subset, what="inputs to find")
        return [
            manifest
            for manifest in self.artifacts(kind)
            if all(
                key in manifest.inputs and manifest.inputs[key] == value
                for key, value in wanted.items()
            )
        ]

    def has(self, artifact_id: str) -> bool:
        """Whether an artifact of exactly this id exists."""
        return self.kind_of(artifact_id) is not None

    def kind_of(self, artifact_id: str) -> Kind | None:
        """The kind of the artifact with exactly this id, or None."""
        if not _may_be_id(artifact_id):
            return None
        for kind in KINDS:
            if _exists(self.layout.manifest(kind, artifact_id)):
                return kind
        return None

    def existing(self, kind: Kind, artifact_id: str) -> Manifest | None:
        """The manifest of an artifact of exactly this kind and id, or None."""
        try:
            return self._read(self.layout.manifest(kind, artifact_id), kind)
        except FileNotFoundError:
            return None

    def get(self, reference: str, kind: Kind | None = None) -> Manifest:
        """One artifact by id, by name, or by the beginning of its id.

        Raises:
            ArtifactNotFound: Nothing fits; the hint lists near matches and existing artifacts.
            AmbiguousReference: Several artifacts fit, and none by its whole id.
            DamagedArtifact: The manifest cannot be read.
            StoreVersionError: The manifest has a newer format version.
        """
        exact = self.kind_of(reference)
        if exact is not None and kind in (None, exact):
            with contextlib.suppress(FileNotFoundError):  # removed this very moment
                return self._read(self.layout.manifest(exact, reference), exact)
        candidates = self.artifacts(kind)
        named = [manifest for manifest in candidates if manifest.name == reference]
        fitting = named or [m for m in candidates if reference and m.id.startswith(reference)]
        if not fitting:
            distant = self._distant(reference, kind)
            raise _not_found(reference, kind, candidates) if distant is None else _not_here(distant)
        if len(fitting) > 1:
            raise AmbiguousReference(
                f"{reference!r} fits {len(fitting)} artifacts.",
                hint="Give more of the id: "
                + ", ".join(_display_name(m) for m in fitting[:_LISTED]),
            )
        return fitting[0]

    def get_or_reference(self, reference: str, kind: Kind | None = None) -> Manifest:
        """The manifest of an artifact of this store (see ``get``), else of a reference.

        Raises:
            ArtifactNotFound: Nothing fits.
            AmbiguousReference: Several artifacts of this store fit.
        """
        try:
            return self.get(reference, kind)
        except ArtifactNotFound:
            distant = self._distant(reference, kind)
            if distant is None:
                raise
            return distant

    def _distant(self, reference: str, kind: Kind | None) -> Manifest | None:
        """The one reference that fits; None if there is none, or several."""
        if not self.elsewhere.layout.root.is_dir():
            return None
        try:
            return self.elsewhere.get(reference, kind)
        except (ArtifactNotFound, AmbiguousReference):
            return None

    def path(self, artifact: Manifest | str) -> Path:
        """The folder of an artifact, or of a reference."""
        manifest = artifact if isinstance(artifact, Manifest) else self.get(artifact)
        distant = not self.has(manifest.id) and self.elsewhere.has(manifest.id)
        layout = self.layout.references if distant else self.layout
        return layout.artifact(manifest.kind, manifest.id)

    def parents_of(self, reference: str) -> list[Manifest]:
        """Manifests of the artifact's parents in the order of its manifest, references included.

        Raises:
            DamagedArtifact: A parent is neither an artifact nor a reference of this store.
        """
        child = self.get_or_reference(reference)
        parents = []
        for parent in child.parents:
            if not self.has(parent) and not self.elsewhere.has(parent):
                raise DamagedArtifact(
                    f"The parent {parent} of {child.kind} {child.id} is not in {self.layout.root}.",
                    hint=f"Copy {parent} into the store, or remove {child.id} with `hype rm`.",
                )
            parents.append(self.get_or_reference(parent))
        return parents

    def children_of(self, reference: str) -> list[Manifest]:
        """The artifacts that have this one as a parent, oldest first."""
        parent = self.get_or_reference(reference)
        return [manifest for manifest in self.artifacts() if parent.id in manifest.parents]

    def _manifest_paths(self, kind: Kind) -> list[Path]:
        """The manifests of a kind, also those that are there and cannot be reached."""
        folder = self.layout.kind_folder(kind)
        paths = (child / MANIFEST_NAME for child in listed(folder)[0] if child.name[0] != ".")
        manifests = [path for path in paths if _exists(path)]
        self._forget_all_but(manifests, folder)
        return manifests

    def _forget_all_but(self, paths: Iterable[Path], folder: Path) -> None:
        """Forget parsed manifests whose files were removed from the folder of a kind."""
        existing = set(paths)
        for path in [path for path in self._parsed if path.parents[1] == folder]:
            if path not in existing:
                self._parsed.pop(path, None)

    def _read(self, path: Path, kind: Kind) -> Manifest:
        problem = _problem(path)
        if problem is not None:
            raise DamagedArtifact(
                f"{path} {problem}.", hint="Restore it, mount its disk, or delete it."
            )
        stamp = _stamp(path)
        parsed = self._parsed.get(path)
        if parsed is not None and parsed[0] == stamp:
            return parsed[1]
        manifest = read_manifest(path)
        if manifest.kind != kind:
            raise DamagedArtifact(f"{path} is of kind {manifest.kind!r}, expected {kind!r}.")
        self._parsed[path] = (stamp, manifest)
        return manifest


def _exists(manifest: Path) -> bool:
    """Whether a manifest exists, or may exist out of reach: in doubt, it does."""
    try:
        manifest.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _problem(manifest) is not None
    except OSError:
        pass
    return True


def _problem(manifest: Path) -> str | None:
    """Why a manifest cannot be reached, as the end of a sentence; None if it can, or is absent."""
    try:
        mode = manifest.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        in_folder = broken_link(manifest.parent)
        return (
            broken_link(manifest)
            if in_folder is None
            else f"cannot be reached: {manifest.parent} {in_folder}"
        )
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if stat.S_ISREG(mode) else "is not a file"


def _stamp(path: Path) -> tuple[int, int, int]:
    """Time of change, inode and size: another file of this path differs in one of them."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _display_name(manifest: Manifest) -> str:
    name = f" ({manifest.name})" if manifest.name else ""
    return f"{manifest.kind} {manifest.id}{name}"


def _not_here(manifest: Manifest) -> ArtifactNotFound:
    return ArtifactNotFound(
        f"The {_display_name(manifest)} is in another store: here is its manifest alone, which "
        "came with "
        "an imported study.",
        hint="`hype show` shows what is known of it. To use it, make or import it here.",
    )


def _may_be_id(text: str) -> bool:
    """Whether a text from the user can be the name of a folder of an artifact."""
    return (
        bool(text)
        and not text.startswith(".")
        and not {"/", "\0"} & set(text)
        and len(os.fsencode(text)) <= _LONGEST_NAME
    )


def _not_found(reference: str, kind: Kind | None, existing: list[Manifest]) -> ArtifactNotFound:
    names = {manifest.name or manifest.id for manifest in existing} | {m.id for m in existing}
    near = difflib.get_close_matches(reference, sorted(names), n=3, cutoff=0.5)
    offer = f"Did you mean {' or '.join(near)}? " if near else ""
    what = "artifact" if kind is None else kind
    if len(existing) <= _NAMED:
        there = ", ".join(manifest.name or manifest.id for manifest in existing) or "nothing yet"
    else:
        counts = Counter(manifest.kind for manifest in existing)
        there = ", ".join(f"{counts[one]} of kind {one}" for one in KINDS if counts[one])
    return ArtifactNotFound(
        f"No {what} has the id or name {reference!r}.",
        hint=f"{offer}There is: {there}. `hype ls` shows all.",
    )
