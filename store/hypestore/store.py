"""The project store: one folder that holds everything a study needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from hypestore.adoption import Adopted, adopt
from hypestore.caches.caches import MAKING_SECONDS, Cache, Caches
from hypestore.calibrations import CurvePoint, read_curve, write_calibration
from hypestore.catalog.catalog import Catalog
from hypestore.doctor import DoctorReport, examine
from hypestore.embeddings.draft import EmbeddingWork
from hypestore.embeddings.files import EmbeddingSpec, shards_done
from hypestore.embeddings.stored import EmbeddingSet
from hypestore.errors import StoreExists
from hypestore.files import atomic_write_text, make_folder, writing_in
from hypestore.graphs.draft import GraphDraft
from hypestore.graphs.stored import NeighbourGraph, open_graph
from hypestore.inventory import Inventory
from hypestore.layout import (
    Layout,
    checked_folder,
    find_store,
    new_marker_text,
    read_marker,
    store_folder,
    write_default,
)
from hypestore.manifest import KINDS, Kind, Manifest
from hypestore.removal import remove
from hypestore.runs.draft import RunWriter
from hypestore.runs.evaluations import (
    evaluations_of,
    read_aggregates,
    read_per_query,
    renew_evaluation,
    write_evaluation,
)
from hypestore.runs.stored import StoredRun
from hypestore.tables import MAX_TABLE_BYTES
from hypestore.verification import check_files
from hypestore.work.locks import SHORT_WAIT_SECONDS, hold
from hypestore.work.staging import staging_folder
from hypestore.work.unfinished import Unfinished, find_unfinished, unfinished
from hypestore.work.work import Draft, WriteContext, plan_work


class Store:
    """A project store: create one with ``Store.create``, open one with ``Store.open``.

    Reading takes no lock, and writes nothing but the derived catalog. ``store/FORMAT.md``
    specifies the format on disk.

    >>> from tempfile import mkdtemp
    >>> store = Store.create(mkdtemp())
    >>> with store.run_writer("bm25", {"corpus": "docs", "k": 2}, name="first") as writer:
    ...     writer.queries([("q1", "a question")])
    ...     writer.append(["q1", "q1"], ["d7", "d2"], [1, 2], [9.5, 7.0])
    ...     run = writer.commit()
    >>> run.id
    'bm25-0db1f4a8d3'
    >>> store.run("first").results()
    {'q1': [('d7', 9.5), ('d2', 7.0)]}
    >>> store.catalog.query("SELECT name, corpus, n_results FROM runs").rows
    (('first', 'docs', 2),)
    >>> store.doctor().healthy
    True

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
        """Create a store in a folder; the folder is created if needed.

        Raises:
            StoreExists: The folder is a store already.
            StoreNotWritable: The folder cannot be written.
        StoreError: The path is not UTF-8.
        """
        layout = Layout(checked_folder(store_folder(path)))
        if os.path.exists(layout.marker):  # noqa: PTH110 - also of names that are too long
            raise StoreExists(f"{layout.root} is a store already.", hint="Use it as it is.")
        with writing_in(layout.root):
            for _, folder in layout.kind_folders():
                make_folder(folder)
            make_folder(layout.locks)
            atomic_write_text(layout.marker, new_marker_text())
        return cls(layout.root)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open the store in a folder. Writes nothing.

        Raises:
            StoreNotFound: The folder has no ``hype.toml``.
            StoreVersionError: The store has a newer format version; the message names it.
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
        """The defaults set in ``hype.toml``: any of model, corpus, queries, device."""
        return read_marker(self._layout.marker).defaults

    def set_default(self, key: str, value: str) -> None:
        """Set a default in ``hype.toml``; comments and other lines are unchanged.

        Raises:
            InvalidContent: ``key`` is not one of model, corpus, queries, device.
        """
        with hold(self._layout.store_lock, what="The store", wait_seconds=SHORT_WAIT_SECONDS):
            write_default(self._layout.marker, key, value)

    # Finding

    def artifacts(self, kind: Kind | None = None) -> list[Manifest]:
        """All artifacts, or those of a kind, oldest first; damaged manifests are only logged."""
        return self._inventory.artifacts(kind)

    def get(self, reference: str, kind: Kind | None = None) -> Manifest:
        """One artifact by id, name, or the beginning of its id.

        Raises:
            ArtifactNotFound: Nothing fits.
            AmbiguousReference: Several fit.
            DamagedArtifact: The manifest cannot be read.
        """
        return self._inventory.get(reference, kind)

    def find(self, kind: Kind, inputs_subset: Mapping[str, Any]) -> list[Manifest]:
        """Artifacts of a kind whose inputs contain all these values, oldest first."""
        return self._inventory.find(kind, inputs_subset)

    def has(self, artifact_id: str) -> bool:
        """Whether an artifact of exactly this id exists."""
        return self._inventory.has(artifact_id)

    def path(self, artifact: Manifest | str) -> Path:
        """The folder of an artifact."""
        return self._inventory.path(artifact)

    def verified(self, reference: str, kind: Kind | None = None) -> Path:
        """The folder of an artifact, after the content of every file was compared.

        Raises:
            DamagedArtifact: A file is missing or differs from the manifest; the message names it.
        """
        manifest = self.get(reference, kind)
        check_files(self.path(manifest), manifest, contents=True)
        return self.path(manifest)

    def parents_of(self, reference: str) -> list[Manifest]:
        """The parents of an artifact, references included."""
        return self._inventory.parents_of(reference)

    def children_of(self, reference: str) -> list[Manifest]:
        """The artifacts that have this one as a parent."""
        return self._inventory.children_of(reference)

    def unfinished(self, kind: Kind | None = None) -> list[Unfinished]:
        """Unfinished work, running or interrupted, oldest first."""
        return unfinished(self._layout, KINDS if kind is None else (kind,))

    def find_unfinished(self, reference: str, kind: Kind | None = None) -> Unfinished | None:
        """Unfinished work by id, name, or the beginning of its id; None if nothing fits.

        Raises:
            AmbiguousReference: Several fit.
        """
        return find_unfinished(self.unfinished(kind), reference)

    # Artifacts of other stores

    def references(self) -> list[Manifest]:
        """Manifests of artifacts that are only in another store: ancestors of imported ones."""
        return self._inventory.references()

    def get_or_reference(self, reference: str, kind: Kind | None = None) -> Manifest:
        """The manifest of an artifact of this store (see ``get``), else of a reference.

        Raises:
            ArtifactNotFound: Nothing fits.
            AmbiguousReference: Several fit.
        """
        return self._inventory.get_or_reference(reference, kind)

    def staging(self) -> AbstractContextManager[Path]:
        """An empty folder for files that ``adopt`` checks and moves; it is deleted on leaving."""
        return staging_folder(self._layout)

    def adopt(
        self,
        artifacts: Iterable[Path],
        references: Iterable[Path] = (),
        *,
        drop_names: bool = False,
        max_table_bytes: int = MAX_TABLE_BYTES,
    ) -> Adopted:
        """Move artifacts of another store into this one (``store/FORMAT.md``, section 14).

        All are checked before the first is moved. Existing artifacts are unchanged.

        Args:
            artifacts: Folders of whole artifacts, named by their ids, within ``staging``.
            references: Folders of manifests of artifacts that stay in the other store.
            drop_names: Whether an artifact loses its name if an existing artifact has it.
            max_table_bytes: Maximum size of all tables together in memory.

        Raises:
            DamagedArtifact: Files differ from their manifest, or tables are too large.
            InvalidContent: An id does not follow from its inputs, a file has other columns, or a
                number or date is beyond what the catalog can hold.
            ArtifactNotFound: A parent is neither among the folders nor in the store.
            NameTaken: An existing artifact has a name, and ``drop_names`` is False.
        """
        done = adopt(
            self._inventory,
            artifacts,
            references,
            drop_names=drop_names,
            max_table_bytes=max_table_bytes,
        )
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
        """Begin an artifact, or resume unfinished work on it; see ``Draft``.

        Args:
            kind: Kind of the artifact.
            id_prefix: A few words for people, part of the id.
            inputs: Everything that determines the content, and so the id.
            parents: Ids of the artifacts that it is made from.
            name: Name for the user, unique among the artifacts of its kind.
            wait_seconds: How long to wait for another process that makes the same artifact.
        """
        record = plan_work(kind, id_prefix, inputs, parents=tuple(parents), name=name)
        return Draft(self._context, record, wait_seconds=wait_seconds)

    def remove(self, reference: str, *, force: bool = False) -> list[str]:
        """Remove an artifact, or unfinished work; ``force`` also removes what was made from it.

        What is being made from it counts as made from it.

        Returns:
            The removed ids, children before parents.

        Raises:
            ArtifactNotFound: No artifact and no unfinished work fits.
            ArtifactInUse: Other artifacts were made from it, and ``force`` is False; the message
                names them.
            ArtifactBusy: A process works on it, or on what is made from it.
            DamagedArtifact: Something in the store cannot be read, so that it is not known what
                was made from what. With ``force`` and its id, a damaged artifact goes all the same.
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
        """Begin an embedding set, or resume it; see ``EmbeddingWork``.

        Args:
            spec: What the set is made of.
            name: Name for the user.
            part: ``(i, N)``, i from 1 to N, if N processes share the work; None for one process.
            wait_seconds: How long to wait for another process that makes the same set or part.
        """
        return EmbeddingWork(self._context, spec, name=name, part=part, wait_seconds=wait_seconds)

    def shards_done(self, spec: EmbeddingSpec) -> int:
        """The number of written shards of an embedding set, which may be unfinished."""
        folder = self._layout.artifact("embeddings", spec.id)
        return shards_done(folder, keep_text=spec.keep_text)

    def embeddings(self, reference: str) -> EmbeddingSet:
        """Open an embedding set by id or name.

        Raises:
            DamagedArtifact: A file is missing, or has another size than the manifest says.
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
            inputs: What else determines the neighbours: metric, builder, seed. In the manifest,
                ``embeddings`` and ``k`` are added.
            k: Neighbours per document.
            name: Name for the user.
            wait_seconds: How long to wait for another process that makes the same graph.
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
            DamagedArtifact: The file is missing, or differs from the manifest.
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
        """Write a calibration, unless it exists: equal inputs give the same calibration.

        Args:
            id_prefix: A few words for people, part of the id.
            inputs: Everything that determines the measurement: engine, model, embedding set.
            parents: Ids of the model, the embedding set, and the graph if there is one.
            points: The measurements.
            stats: Number of queries, seconds.
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
        """Begin a run; see ``RunWriter``, and ``draft`` for the arguments."""
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
        """Write the measures of a run, unless they exist: equal inputs give the same evaluation.

        Args:
            run_id: Id or name of the run.
            qrels_id: Id of the judgements.
            inputs: What else determines the values. In the manifest, ``run`` and ``qrels`` are
                added, and ``measures`` if absent.
            per_query: ``(query_id, measure, value)``, value float64.
            aggregates: Measure -> value over the judged queries.
            stats: Judged queries, queries without results, seconds.
            provenance: Versions.
            others: Ids of further runs that a measure compares the run with, as p-MRR does.
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
        """The evaluations of a run, oldest first; none that compares another run with it."""
        return evaluations_of(self._inventory, self.get(run_id, "run").id)

    def renew_evaluation(self, evaluation_id: str) -> Manifest:
        """Make an evaluation the newest of its run, as if it had been written now.

        Returns:
            Its manifest, of which only ``created`` and the order may have changed.

        Raises:
            ArtifactNotFound: There is no such evaluation.
            StoreNotWritable: The store is read-only.
        """
        return renew_evaluation(self._context, self.get(evaluation_id, "evaluation"))

    def per_query(self, evaluation_id: str) -> pa.Table:
        """The values of an evaluation per query: columns ``query_id, measure, value``."""
        manifest = self.get(evaluation_id, "evaluation")
        return read_per_query(self.path(manifest), manifest)

    def aggregates(self, evaluation_id: str) -> dict[str, float]:
        """The values of an evaluation over all judged queries: measure -> value."""
        manifest = self.get(evaluation_id, "evaluation")
        return read_aggregates(self.path(manifest), manifest)

    # Caches

    def cached(
        self, name: str, make: Callable[[Path], None], *, wait_seconds: float = MAKING_SECONDS
    ) -> Path:
        """The folder of a cache, which is made if it does not exist. Its files are read-only.

        `hype doctor --clean` does not remove the cache while this object exists.

        Args:
            name: Says what the cache is derived from, with a hash; of ``a-z 0-9 . _ -``.
            make: Fills an empty folder. Only one process calls it, and others wait.
            wait_seconds: How long to wait for another process that makes the cache.

        Raises:
            InvalidContent: The name is malformed.
            ArtifactBusy: Another process still makes the cache after ``wait_seconds``.
            StoreNotWritable: The cache does not exist, and the store is read-only.
            DiskFull: No space is left to make the cache.
        """
        return self._caches.cached(name, make, wait_seconds=wait_seconds)

    def caches(self) -> list[Cache]:
        """The caches of the store, least recently used first."""
        return self._caches.listed()

    def remove_cache(self, name: str) -> None:
        """Remove a cache, and end its use by this object.

        Raises:
            ArtifactNotFound: There is no cache of this name.
            ArtifactBusy: A process makes it or uses it.
        """
        self._caches.release(name)
        self._caches.remove(name)

    # Catalog and doctor

    @cached_property
    def catalog(self) -> Catalog:
        """The SQL database of the artifacts of the store."""
        return Catalog(self._inventory)

    def doctor(
        self, *, checksums: bool = False, rebuild: bool = False, clean: bool = False
    ) -> DoctorReport:
        """Examine the whole store.

        Args:
            checksums: Whether to compare the content of every file with its SHA-256.
            rebuild: Whether to build the catalog again from the files first.
            clean: Whether to delete temporary files, unfinished work that no process holds, and
                caches that no process uses. Nothing is deleted while a manifest or a folder of
                artifacts cannot be read; a finding says so.
        """
        return examine(
            self._inventory, self.catalog, checksums=checksums, rebuild=rebuild, clean=clean
        )

    def _sync_catalog(self) -> None:
        # A short wait: if the catalog is busy, the next reader updates it.
        self._is_synced = self.catalog.sync(wait_seconds=1.0)

    def _sync_catalog_once(self) -> None:
        """Update the catalog once, if the process that finished an artifact did not."""
        if not self._is_synced and self.catalog.in_step() is False:
            self._sync_catalog()
        self._is_synced = True
