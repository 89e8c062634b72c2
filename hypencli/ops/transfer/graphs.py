"""Neighbour graphs to files, and graphs that were made elsewhere taken into the store."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hypencli.data.atomic import atomic_write
from hypencli.errors import DataError, UsageError
from hypencli.ops.drafts import NameNotGiven, discard_on_error, name_not_given
from hypencli.ops.graphs.build import LOW_RECALL
from hypencli.ops.graphs.find import recall_of, width
from hypencli.ops.graphs.sample import NeighbourSample
from hypencli.ops.models import display_name
from hypencli.ops.transfer.exporters import ExportJob, find_exporter
from hypencli.progress import SILENT, Progress
from hypencli.runtime import provenance, resolve_device
from hypestore import EmbeddingSet, Manifest, NeighbourGraph, Store

if TYPE_CHECKING:
    from hypencli.data.exchange.graph_file import Neighbours
    from hypencli.engine.neighbours.similarity import Metric
    from hypencli.engine.neighbours.top_neighbours import Ordinals

_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class ImportedGraph:
    """A graph that was taken in.

    Attributes:
        graph: Its id.
        embeddings: The embedding set that it is of, by name or id.
        k: Neighbours of the document that has most.
        n_edges: Neighbours of all documents together.
        self_edges: Documents that were among their own neighbours, and were left out there.
        repeated: Neighbours that were left out because they were there before, in one row.
        recall: Share of the exact neighbours that it has, measured on a sample; None where its
            metric is not known.
        low: Whether that is low.
        existing: Whether it was there before.
        name_not_given: A name that was asked for and that it does not have, made before.
    """

    graph: str
    name: str | None
    embeddings: str
    n_documents: int
    k: int
    n_edges: int
    self_edges: int
    repeated: int
    recall: float | None
    low: bool
    existing: bool
    name_not_given: NameNotGiven | None = None


def import_graph(
    store: Store,
    path: Path,
    embeddings: Manifest,
    *,
    name: str | None = None,
    metric: Metric | None = None,
    device: str | None = None,
    progress: Progress = SILENT,
) -> ImportedGraph:
    """Take a graph made elsewhere into the store, for an embedding set of the same documents.

    Deviation: the published builder leaves documents among their own neighbours after its first
    batch; they are taken out, and counted.

    Args:
        store: The project store.
        path: JSONL as published, read in a stream: in memory are the ids, and the ordinals.
        embeddings: The embedding set.
        name: Name of the graph; by default the file's stem.
        metric: What is near in it, if that is known; its recall is then measured.
        device: Where that is done.
        progress: Where to report.

    Raises:
        DataError: A line that is not as published, an id that the set does not have, a document
            twice or not at all; names file and line.
    """
    from hypencli.data.exchange.graph_file import read_graph
    from hypencli.data.reading.lines import summarise_file

    opened = store.embeddings(embeddings.id)
    rows = _Rows(opened, path)
    with progress.task("import", total=opened.n, unit="documents") as task:
        for listed in read_graph(path):
            rows.add(listed)
            task.advance()
    neighbours = rows.finished()
    graph_name = name or "-".join(path.name.removesuffix(".gz").removesuffix(".jsonl").split())
    inputs = {"metric": metric, "builder": "imported", "file_sha256": summarise_file(path).sha256}
    base_name = f"{graph_name}-imported"
    k = neighbours.shape[1]
    drafted = store.graph_draft(embeddings.id, base_name, inputs, k=k, name=graph_name)
    with drafted as draft, discard_on_error(draft):
        done, existing = draft.existing, draft.existing is not None
        if done is None:
            draft.write([neighbours])
            stats: dict[str, object] = {"source": path.name, **rows.counts()}
            if metric is not None:
                sample = NeighbourSample(opened.n, k=k, seed=0)
                list(sample.watch([neighbours]))
                where = resolve_device(device)
                stats["recall"] = sample.recall(opened, metric, where, progress)
            done = draft.commit(stats=stats, provenance=provenance())
    taken = _imported(done, embeddings, existing=existing)
    return replace(taken, name_not_given=name_not_given(store, done, name))


class _Rows:
    """The rows of a graph that is read: ordinals for ids, each document once."""

    def __init__(self, embeddings: EmbeddingSet, path: Path) -> None:
        import numpy as np

        self._embeddings = embeddings
        self._path = path
        self._ordinals: dict[str, int] = {}
        for shard in embeddings.shards:
            ids = shard.doc_ids.to_pylist()
            self._ordinals.update(
                zip(ids, range(shard.offset, shard.offset + shard.n), strict=True)
            )
        self._rows = np.full((embeddings.n, 0), -1, dtype=np.int32)
        self._lines = np.zeros(embeddings.n, dtype=np.int64)
        self._self_edges = self._repeated = 0

    def add(self, listed: Neighbours) -> None:
        """Take in one line."""
        own = self._ordinal(listed.doc_id, listed.line)
        if self._lines[own]:
            raise DataError(
                f"{self._path}: the document {listed.doc_id!r} is there twice, at lines "
                f"{self._lines[own]} and {listed.line}."
            )
        self._lines[own] = listed.line
        ordinals = [self._ordinal(doc_id, listed.line) for doc_id in listed.neighbours]
        others = [ordinal for ordinal in ordinals if ordinal != own]
        kept = list(dict.fromkeys(others))
        self._self_edges += len(others) < len(ordinals)
        self._repeated += len(others) - len(kept)
        self._widen(len(kept))
        self._rows[own, : len(kept)] = kept

    def finished(self) -> Ordinals:
        """All rows, [n, k].

        Raises:
            DataError: A document has no line, or none has a neighbour.
        """
        import numpy as np

        absent = np.flatnonzero(self._lines == 0)
        if len(absent):
            (first,) = self._embeddings.ids(absent[:1])
            raise DataError(
                f"{self._path}: {len(absent):,} of the {self._embeddings.n:,} documents of "
                f"{display_name(self._embeddings.manifest)} have no line, the first of them "
                f"{first!r}.",
                hint="Name the embedding set of the same documents: --embeddings NAME",
            )
        if self._rows.shape[1] == 0:
            raise DataError(f"{self._path}: no document has a neighbour.")
        return self._rows

    def counts(self) -> dict[str, int]:
        """What was left out."""
        return {"self_edges": self._self_edges, "repeated": self._repeated}

    def _ordinal(self, doc_id: str, line: int) -> int:
        try:
            return self._ordinals[doc_id]
        except KeyError:
            raise DataError(
                f"{self._path}, line {line}: the embedding set "
                f"{display_name(self._embeddings.manifest)} has no document {doc_id!r}.",
                hint="Name the embedding set of the same documents: --embeddings NAME",
            ) from None

    def _widen(self, k: int) -> None:
        import numpy as np

        more = k - self._rows.shape[1]
        if more > 0:
            self._rows = np.pad(self._rows, ((0, 0), (0, more)), constant_values=-1)


def _imported(graph: Manifest, embeddings: Manifest, *, existing: bool) -> ImportedGraph:
    recall = recall_of(graph)
    return ImportedGraph(
        graph=graph.id,
        name=graph.name,
        embeddings=display_name(embeddings),
        n_documents=graph.stat_int("n_documents"),
        k=width(graph),
        n_edges=graph.stat_int("n_edges"),
        self_edges=graph.stat_int("self_edges"),
        repeated=graph.stat_int("repeated"),
        recall=recall,
        low=recall is not None and recall < LOW_RECALL,
        existing=existing,
    )


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """A file that was written."""

    graph: str
    path: Path
    format: str
    n_documents: int
    k: int
    n_edges: int


def export_graph(
    store: Store,
    graph: str,
    *,
    output: Path | None = None,
    k: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ExportedGraph:
    """Write a graph to a file.

    Args:
        store: The project store.
        graph: Id, unique prefix, or name.
        output: The file; by default the graph's name in the current folder.
        k: Neighbours of a document; by default all that the graph has.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package; by default told by the file.
        overwrite: Replace a file that is there.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, it cannot be told, the file exists, or the graph has
            fewer than k.
        DataError: The file cannot be written.
    """
    opened = store.graph(graph)
    name = display_name(opened.manifest)
    exporter = find_exporter("graph", format, output)
    if k is not None and not 1 <= k <= opened.k:
        raise UsageError(
            f"The graph {name} has {opened.k} neighbours a document, not {k}.",
            hint=f"Make a wider one: hype graph {opened.embeddings} --k {k}",
        )
    paths = exporter.files(output or exporter.default_path(name), overwrite=overwrite)
    narrowed = opened if k is None else opened.first(k)
    with ExitStack() as files:
        partial = tuple(files.enter_context(atomic_write(path)) for path in paths)
        exporter.write(ExportJob(store, narrowed, name, partial, progress))
    return ExportedGraph(
        graph=opened.manifest.id,
        path=paths[0],
        format=exporter.name,
        n_documents=narrowed.n,
        k=narrowed.k,
        n_edges=_count_edges(narrowed),
    )


def _count_edges(graph: NeighbourGraph) -> int:
    starts = range(0, graph.n, _ROWS)
    return sum(int((graph.neighbours[a : a + _ROWS] >= 0).sum()) for a in starts)
