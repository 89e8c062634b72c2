"""The project store: one folder that holds everything a study needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from hypestore.adoption import Adopted, adopt
from hypestore.caches.caches import (
    MAKING_SECONDS,
    Cache,
    Caches,
)
from hypestore.calibrations import (
    CurvePoint,
    read_curve,
    write_calibration,
)
from hypestore.catalog.catalog import Catalog
from hypestore.doctor import DoctorReport, examine
from hypestore.embeddings.draft import EmbeddingWork
from hypestore.embeddings.files import EmbeddingSpec, shards_done
from hypestore.embeddings.stored import EmbeddingSet
from hypestore.errors import StoreExists
from hypestore.files import atomic_write_text, writing_in
from hypestore.graphs.draft import GraphDraft
from hypestore.graphs.stored import NeighbourGraph, open_graph
from hypestore.inventory import Inventory
from hypestore.layout import (
    Layout,
    find_store,
    new_marker_text,
    read_marker,
    write_default,
)
from hypestore.manifest import (
    KINDS,
    Kind,
    Manifest,
)
from hypestore.removal import remove
from hypestore.runs.draft import RunWriter
from hypestore.runs.evaluations import (
    read_aggregates,
    read_per_query,
    write_evaluation,
)
from hypestore.runs.stored import StoredRun
from hypestore.verification import check_files
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.staging import staging_folder
from hypestore.work.unfinished import (
    Unfinished,
    find_unfinished,
    unfinished,
)
from hypestore.work.work import (
    Draft,
    WriteContext,
    plan_work,
)


class Store:
    """A project store. Make one with ``create``, use one with ``open``.

    Reading takes no lock and writes nothing but the derived catalog. Format: ``store/FORMAT.md``.

    Attributes:
        root: The folder, absolute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layout = Layout(root)
        self._inventory = Inventory(self._layout)
        self._is_synced = False
        self._context = WriteContext(self._inventory, self._sync_catalog, self._sync_catalog_once)
        self._caches = Caches(self._layout)

    @classmethod
    def create(cls, path: Path | str) -> Store:
        """Make a store in a folder, which is made too when it is not there.

        Raises:
            StoreExists: There is a store in it already.
            StoreNotWritable: The folder cannot be written.
        """
        layout = Layout(Path(path).expanduser().absolute())
        if layout.marker.exists():
            raise StoreExists(f"{layout.root} is a store already.", hint="Use it as it is.")
        with writing_in(layout.root):
            for _, folder in layout.kind_folders():
                folder.mkdir(parents=True, exist_ok=True)
            layout.locks.mkdir(exist_ok=True)
            atomic_write_text(layout.marker, new_marker_text())
        return cls(layout.root)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store in a folder. Writes nothing.

        Raises:
            StoreNotFound: No ``hype.toml`` in it.
            StoreVersionError: A newer format version; names the one that is needed.
            DamagedArtifact: ``hype.toml`` cannot be read.
        """
        root = find_store(explicit=Path(path))
        read_marker(Layout(root).marker)
        return cls(root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    # Defaults

    @property
    def defaults(self) -> Mapping[str, str]:
        """The defaults of ``hype.toml``: model, corpus, queries, device, as far as they are set."""
        return read_marker(self._layout.marker).defaults

    def set_default(self, key: str, value: str) -> None:
        """Set a default in ``hype.toml``; comments and other lines stay as they are.

        Raises:
            InvalidContent: Not one of model, corpus, queries, device.
        """
        with hold(self._layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
            write_default(self._layout.marker, key, value)

    # Finding

    def artifacts(self, kind: Kind | None = None) -> list[Manifest]:
        """All artifacts, or those of a kind, oldest first; damaged ones are logged and left out."""
        return self._inventory.artifacts(kind)

    def get(self, reference: str, kind: Kind | None = None) -> Manifest:
        """One artifact by id, name, or the beginning of its id.

        Raises:
            ArtifactNotFound: Nothing fits.
            AmbiguousReference: Several fit.
            DamagedArtifact: Its manifest cannot be read.
        """
        return self._inventory.get(reference, kind)

    def find(self, kind: Kind, inputs_subset: Mapping[str, Any]) -> list[Manifest]:
        """Artifacts of a kind whose inputs hold all of these values, oldest first."""
        return self._inventory.find(kind, inputs_subset)

    def has(self, artifact_id: str) -> bool:
        """Whether an artifact of exactly this id exists."""
        return self._inventory.has(artifact_id)

    def path(self, artifact: Manifest | str) -> Path:
        """The folder of an artifact."""
        return self._inventory.path(artifact)

    def verified(self, reference: str, kind: Kind | None = None) -> Path:
        """The folder of an artifact, after every file was read and compared with the manifest.

        Raises:
            DamagedArtifact: A file is missing, or not what was written; names it.
        """
        manifest = self.get(reference, kind)
        check_files(self.path(manifest), manifest, contents=True)
        return self.path(manifest)

    def parents_of(self, reference: str) -> list[Manifest]:
        """What an artifact was made from, also what is known by its manifest alone."""
        return self._inventory.parents_of(reference)

    def children_of(self, reference: str) -> list[Manifest]:
        """What was made from an artifact directly."""
        return self._inventory.children_of(reference)

    def unfinished(self, kind: Kind | None = None) -> list[Unfinished]:
        """What is being made, or was begun and not finished, oldest first."""
        return unfinished(self._layout, KINDS if kind is None else (kind,))

    def find_unfinished(self, reference: str, kind: Kind | None = None) -> Unfinished | None:
        """Unfinished work by id, name, or the beginning of its id; None where nothing fits.

        Raises:
            AmbiguousReference: Several fit.
        """
        return find_unfinished(self.unfinished(kind), reference)

    # What is known of other stores

    def references(self) -> list[Manifest]:
        """Artifacts that are known by their manifests alone: parents of what was imported."""
        return self._inventory.references()

    def get_or_reference(self, reference: str, kind: Kind | None = None) -> Manifest:
        """One artifact as ``get`` finds it, or the manifest of one that is in another store.

        Raises:
            ArtifactNotFound: Nothing fits.
            AmbiguousReference: Several fit.
        """
        return self._inventory.get_or_reference(reference, kind)

    def staging(self) -> AbstractContextManager[Path]:
        """An empty folder for files on their way into the store; it goes on leaving."""
        return staging_folder(self._layout)

    def adopt(
        self,
        artifacts: Iterable[Path],
        references: Iterable[Path] = (),
        *,
        drop_names: bool = False,
    ) -> Adopted:
        """Take in folders of artifacts that another store made; see ``store/FORMAT.md``, 14.

        All are checked before the first is moved. What is here already stays as it is.

        Args:
            artifacts: Folders of whole artifacts, called by their ids, within ``staging``.
            references: Folders of manifests alone, of artifacts that stay in the other store.
            drop_names: Leave out names that other artifacts have here.

        Raises:
            DamagedArtifact: Files that are not those of their manifest.
            InvalidContent: Inputs that do not give the id, files of another schema.
            ArtifactNotFound: A parent that is neither among them nor here.
            NameTaken: A name that another artifact has here.
        """
        done = adopt(self._inventory, artifacts, references, drop_names=drop_names)
        self._sync_catalog()
        return done

    # Making and removing

    def draft(
        self,
        kind: Kind,
        id_prefix: str,
        inputs: Mapping[str, Any],
        *,
        parents: Iterable[str] = (),
        name: str | None = None,
        wait_seconds: float = 0.0,
    ) -> Draft:
        """Begin an artifact, or go on with it; see ``Draft``.

        Args:
            kind: What it is.
            id_prefix: A few words for people, part of the id.
            inputs: Everything that determines the content; it determines the id.
            parents: Ids of the artifacts it is made from.
            name: What the user calls it; unique among the artifacts of its kind.
            wait_seconds: How long to wait while another process makes the same one.
        """
        record = plan_work(kind, id_prefix, inputs, parents=tuple(parents), name=name)
        return Draft(self._context, record, wait_seconds=wait_seconds)

    def remove(self, reference: str, *, force: bool = False) -> list[str]:
        """Remove an artifact, with ``force`` also everything made from it; or unfinished work.

        Returns:
            The ids removed, in order: children before parents.

        Raises:
            ArtifactNotFound: Nothing fits, neither an artifact nor unfinished work.
            ArtifactInUse: Others were made from it, and ``force`` is not given; names them.
            ArtifactBusy: A process works on it.
        """
        removed = remove(self._inventory, reference, force=force)
        self._sync_catalog()
        return removed

    # Embeddings

    def embedding_work(
        self,
        spec: EmbeddingSpec,
        *,
        name: str | None = None,
        part: tuple[int, int] | None = None,
        wait_seconds: float = 0.0,
    ) -> EmbeddingWork:
        """Begin an embedding set, or go on with it; ``part`` ``(i, N)`` counts from 1."""
        return EmbeddingWork(self._context, spec, name=name, part=part, wait_seconds=wait_seconds)

    def shards_done(self, spec: EmbeddingSpec) -> int:
        """How many shards of an embedding set are written, finished or not."""
        folder = self._layout.artifact("embeddings", spec.id)
        return shards_done(folder, keep_text=spec.keep_text)

    def embeddings(self, reference: str) -> EmbeddingSet:
        """Open an embedding set by id or name.

        Raises:
            DamagedArtifact: A file is missing or has another size than the manifest says.
        """
        manifest = self.get(reference, "embeddings")
        return EmbeddingSet(self.path(manifest), manifest)

    # Neighbour graphs

    def graph_draft(
        self,
        embeddings: str,
        id_prefix: str,
        inputs: Mapping[str, Any],
        *,
        k: int,
        name: str | None = None,
        wait_seconds: float = 0.0,
    ) -> GraphDraft:
        """Begin the neighbour graph of an embedding set; see ``GraphDraft``.

        Args:
            embeddings: Id or name of the embedding set.
            id_prefix: A few words for people, part of the id.
            inputs: What else determines the neighbours: metric, builder, seed. The manifest also
                has ``embeddings`` and ``k`` among them.
            k: Neighbours a document.
            name: What the user calls it.
            wait_seconds: How long to wait while another process makes the same one.
        """
        return GraphDraft(
            self._context,
            id_prefix,
            inputs,
            embeddings=self.get(embeddings, "embeddings"),
            k=k,
            name=name,
            wait_seconds=wait_seconds,
        )

    def graph(self, reference: str) -> NeighbourGraph:
        """Open a neighbour graph by id or name.

        Raises:
            DamagedArtifact: Its file is missing, or not what the manifest says.
        """
        manifest = self.get(reference, "graph")
        return open_graph(self.path(manifest), manifest)

    # Calibrations

    def write_calibration(
        self,
        id_prefix: str,
        inputs: Mapping[str, Any],
        *,
        parents: Iterable[str],
        points: Iterable[CurvePoint],
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Keep what recall an engine reaches at which setting, or return what is there.

        Args:
            id_prefix: A few words for people, part of the id.
            inputs: What was measured, on what.
            parents: The model, the embedding set, and the graph where there is one.
            points: The measurements.
            stats: Queries, seconds.
            provenance: Versions, hardware.
        """
        return write_calibration(
            self._context,
            id_prefix,
            inputs,
            parents=parents,
            points=points,
            stats=stats or {},
            provenance=provenance or {},
        )

    def curve(self, calibration_id: str) -> list[CurvePoint]:
        """The measurements of a calibration."""
        manifest = self.get(calibration_id, "calibration")
        return read_curve(self.path(manifest), manifest)

    # Runs and evaluations

    def run_writer(
        self,
        id_prefix: str,
        inputs: Mapping[str, Any],
        *,
        parents: Iterable[str] = (),
        name: str | None = None,
        wait_seconds: float = 0.0,
    ) -> RunWriter:
        """Begin a run; the arguments are those of ``draft``."""
        record = plan_work("run", id_prefix, inputs, parents=tuple(parents), name=name)
        return RunWriter(self._context, record, wait_seconds=wait_seconds)

    def run(self, reference: str) -> StoredRun:
        """Open a run by id or name."""
        manifest = self.get(reference, "run")
        return StoredRun(self.path(manifest), manifest)

    def write_evaluation(
        self,
        run_id: str,
        *,
        qrels_id: str,
        inputs: Mapping[str, Any],
        per_query: Iterable[tuple[str, str, float]],
        aggregates: Mapping[str, float],
        stats: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        others: Iterable[str] = (),
    ) -> Manifest:
        """Keep the measures of a run; what is there for the same inputs is returned as it is.

        Args:
            run_id: Id or name of the run.
            qrels_id: What the judgements are called.
            inputs: What else determines the figures; run, qrels and (when absent) measures are
                added.
            per_query: ``(query_id, measure, value)``, value float64.
            aggregates: Measure -> value over the judged queries.
            stats: Judged queries, queries without results, seconds.
            provenance: Versions.
            others: Ids of the runs that it was measured against, where a measure takes several.
        """
        return write_evaluation(
            self._context,
            (self.get(run_id, "run").id, *others),
            qrels_id=qrels_id,
            inputs=inputs,
            per_query=per_query,
            aggregates=aggregates,
            stats=stats or {},
            provenance=provenance or {},
        )

    def evaluations(self, run_id: str) -> list[Manifest]:
        """The evaluations of a run, oldest first; not those that others have against it."""
        run = self.get(run_id, "run")
        return [one for one in self.artifacts("evaluation") if one.parents[:1] == (run.id,)]

    def per_query(self, evaluation_id: str) -> pa.Table:
        """``query_id, measure, value`` of an evaluation."""
        manifest = self.get(evaluation_id, "evaluation")
        return read_per_query(self.path(manifest), manifest)

    def aggregates(self, evaluation_id: str) -> dict[str, float]:
        """Measure -> value of an evaluation."""
        manifest = self.get(evaluation_id, "evaluation")
        return read_aggregates(self.path(manifest), manifest)

    # Caches

    def cached(
        self, name: str, make: Callable[[Path], None], *, wait_seconds: float = MAKING_SECONDS
    ) -> Path:
        """The folder of a cache, made first where it is not there; nothing in it may be changed.

        It stays until it is removed: no `hype doctor --clean` takes it while this object lives.

        Args:
            name: What it was derived from, in ``a-z 0-9 . _ -``, a hash of it included.
            make: Fills the empty folder that it is given; called by one process, the others wait.
            wait_seconds: How long to wait for another process that makes it.

        Raises:
            InvalidContent: The name is malformed.
            ArtifactBusy: Another process still makes it after ``wait_seconds``.
            StoreNotWritable: It is not there, and the store is read-only.
            DiskFull: No space is left to make it.
        """
        return self._caches.cached(name, make, wait_seconds=wait_seconds)

    def caches(self) -> list[Cache]:
        """The caches of the store, least recently used first."""
        return self._caches.listed()

    def remove_cache(self, name: str) -> None:
        """Remove a cache, which this object uses no more.

        Raises:
            ArtifactNotFound: There is no cache of this name.
            ArtifactBusy: A process makes it or uses it.
        """
        self._caches.release(name)
        self._caches.remove(name)

    # Catalog and doctor

    @cached_property
    def catalog(self) -> Catalog:
        """The SQL index over the store."""
        return Catalog(self._inventory)

    def doctor(
        self, *, checksums: bool = False, rebuild: bool = False, clean: bool = False
    ) -> DoctorReport:
        """Examine the whole store.

        Args:
            checksums: Also read every file and compare its SHA-256.
            rebuild: Make the catalog again from the files first.
            clean: Delete what killed commands left, temporary files and unfinished work nobody
                holds, and caches that nobody uses.
        """
        return examine(
            self._inventory, self.catalog, checksums=checksums, rebuild=rebuild, clean=clean
        )

    def _sync_catalog(self) -> None:
        # Briefly: whoever reads next brings the catalog up to date where this one could not.
        self._is_synced = self.catalog.sync(wait_seconds=1.0)

    def _sync_catalog_once(self) -> None:
        """For an artifact that was there: who finished it may have been killed before that."""
        if not self._is_synced and self.catalog.in_step() is False:
            self._sync_catalog()
        self._is_synced = True
