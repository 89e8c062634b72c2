"""Neighbour graphs to files: the published JSONL, NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from hypencli.errors import UsageError
from hypencli.ops.models import display_name
from hypencli.progress import SILENT, Progress
from hypestore import EmbeddingSet, NeighbourGraph, Store

if TYPE_CHECKING:
    from hypencli.engine.nearest import Ordinals

GraphFormat: TypeAlias = Literal["jsonl", "npy"]
SUFFIXES: dict[str, GraphFormat] = {".jsonl": "jsonl", ".npy": "npy"}

_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """A file that was written."""

    graph: str
    path: Path
    format: GraphFormat
    n_documents: int
    k: int
    n_edges: int


def export_graph(
    store: Store,
    graph: str,
    *,
    output: Path | None = None,
    k: int | None = None,
    format: GraphFormat | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> ExportedGraph:
    """Write a graph to a file.

    Args:
        store: The project store.
        graph: Id, unique prefix, or name.
        output: The file; by default the graph's name in the current folder.
        k: Neighbours of a document; by default all that the graph has.
        format: ``jsonl`` (as published: ids, nearest first) or ``npy`` (the ordinals, int32 [n, k],
            -1 where there are fewer); by default told by the file.
        overwrite: Replace a file that is there.
        progress: Where to report.

    Raises:
        UsageError: The format cannot be told, the file exists, or the graph has fewer than k.
        DataError: The file cannot be written.
    """
    from hypencli.data.aside import atomic_write

    opened = store.graph(graph)
    graph_name = display_name(opened.manifest)
    format = format or (SUFFIXES.get(output.suffix) if output is not None else "jsonl")
    if format is None:
        raise UsageError(
            f"The format cannot be told from {output}.", hint="Name it: --format jsonl or npy"
        )
    if k is not None and not 1 <= k <= opened.k:
        raise UsageError(
            f"The graph {graph_name} has {opened.k} neighbours a document, not {k}.",
            hint=f"Make a wider one: hype graph {opened.embeddings} --k {k}",
        )
    path = output or Path(f"{graph_name}.{format}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists.", hint="Choose another --output, or add --overwrite")
    narrowed = opened if k is None else opened.first(k)
    with (
        atomic_write(path) as partial,
        progress.task("export", total=opened.n, unit="documents") as task,
    ):
        n_edges = 0
        for rows in _written(partial, store, narrowed, format):
            n_edges += int((rows >= 0).sum())
            task.advance(len(rows))
    return ExportedGraph(opened.manifest.id, path, format, narrowed.n, narrowed.k, n_edges)


def _written(
    path: Path, store: Store, graph: NeighbourGraph, format: GraphFormat
) -> Iterator[Ordinals]:
    """Write a graph; gives each block of rows once it is written."""
    import numpy as np

    from hypencli.data.graphs import write_graph

    embeddings = store.embeddings(graph.embeddings)
    with path.open("wb") as out:
        if format == "npy":
            header = {"descr": "<i4", "fortran_order": False, "shape": (graph.n, graph.k)}
            np.lib.format.write_array_header_1_0(out, header)
        for first in range(0, graph.n, _ROWS):
            rows = graph.neighbours[first : first + _ROWS]
            if format == "npy":
                out.write(np.ascontiguousarray(rows, "<i4").data)
            else:
                write_graph(_named(embeddings, rows, first), out)
            yield rows


def _named(embeddings: EmbeddingSet, rows: Ordinals, first: int) -> Iterator[tuple[str, list[str]]]:
    """Documents and their neighbours by id."""
    import numpy as np

    own = embeddings.ids(np.arange(first, first + len(rows)))
    valid = rows >= 0
    ids = embeddings.ids(rows[valid])
    ends = np.cumsum(valid.sum(axis=1)).tolist()
    for doc_id, start, end in zip(own, [0, *ends], ends, strict=False):
        yield doc_id, ids[start:end]
