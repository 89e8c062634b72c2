"""Import and export of neighbour graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    """An imported graph.

    Attributes:
        graph: Id of the graph.
        name: Name of the graph, if it has one.
        embeddings: Name or id of the embedding set.
        n_documents: Number of documents.
        k: Maximum number of neighbours of a document.
        n_edges: Number of neighbours of all documents.
        self_edges: Documents that were removed from their own neighbours.
        repeated: Repeated neighbours that were removed from their rows.
        recall: Share of the exact neighbours, measured on a sample; None if the metric is unknown.
        low: Whether the recall is low.
        existing: Whether the store had the graph before this call.
        name_not_given: A requested name that an existing graph did not get.
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
    """Import a graph for an embedding set of the same documents.

    Deviation: the published builder keeps documents among their own neighbours after its first
    batch. They are removed and counted.

    Args:
        store: The project store.
        path: JSONL file as published. It is streamed; ids and ordinals are in memory.
        embeddings: The embedding set.
        name: Name of the graph. The default is the stem of the file.
        metric: Similarity or distance of the graph, if known. Its recall is then measured.
        device: Device of the recall. None selects the best one.
        progress: Where to report.

    Raises:
        DataError: A line is malformed, an id is not in the set, or a document is missing or
            repeated; the message has file and line.
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
    """Collects the rows of a graph, and replaces ids by ordinals."""

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
        """Add one line.

        Raises:
            DataError: The document is repeated, or an id is not in the embedding set.
        """
        own = self._ordinal(listed.doc_id, listed.line)
        if self._lines[own]:
            raise DataError(
                f"{self._path}: the document {listed.doc_id!r} is repeated, at lines "
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
        """Return all rows ``[n, k]``.

        Raises:
            DataError: A document has no line, or no document has a neighbour.
        """
        import numpy as np

        absent = np.flatnonzero(self._lines == 0)
        if len(absent):
            (first,) = self._embeddings.ids(absent[:1])
            raise DataError(
                f"{self._path}: {len(absent):,} of the {self._embeddings.n:,} documents of "
                f"{display_name(self._embeddings.manifest)} have no line, the first is {first!r}.",
                hint="Name the embedding set of the same documents: `embeddings=NAME`",
            )
        if self._rows.shape[1] == 0:
            raise DataError(f"{self._path}: no document has a neighbour.")
        return self._rows

    def counts(self) -> dict[str, int]:
        """Counts of removed neighbours."""
        return {"self_edges": self._self_edges, "repeated": self._repeated}

    def _ordinal(self, doc_id: str, line: int) -> int:
        try:
            return self._ordinals[doc_id]
        except KeyError:
            raise DataError(
                f"{self._path}, line {line}: the embedding set "
                f"{display_name(self._embeddings.manifest)} has no document {doc_id!r}.",
                hint="Name the embedding set of the same documents: `embeddings=NAME`",
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
    """An exported graph.

    Attributes:
        graph: Id of the graph.
        path: The file.
        format: Name of the format.
        n_documents: Number of documents.
        k: Neighbours per document.
        n_edges: Number of neighbours of all documents.
    """

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
        output: The file. The default is the name of the graph, in the current folder.
        k: Neighbours per document. The default is all.
        format: A name of :data:`~hypencli.ops.transfer.exporters.EXPORTERS`, or of an installed
            package. The default is the format of the file's ending.
        overwrite: Replace an existing file.
        progress: Where to report.

    Raises:
        UsageError: There is no such format, the ending is unknown, the file exists, or the graph
            has fewer than k neighbours per document.
        DataError: The file cannot be written.
    """
    opened = store.graph(graph)
    name = display_name(opened.manifest)
    exporter = find_exporter("graph", format, output)
    if k is not None and not 1 <= k <= opened.k:
        raise UsageError(
            f"The graph {name} has {opened.k} neighbours a document, not {k}.",
            hint=f"Build a wider one: hype graph {opened.embeddings} --k {k}",
        )
    paths = exporter.files(
        output or exporter.default_path(opened.manifest.file_name), overwrite=overwrite
    )
    narrowed = opened if k is None else opened.first(k)
    exporter.export(ExportJob(store, narrowed, name, paths, progress))
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
