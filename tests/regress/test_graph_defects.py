"""Defects of the published builder of neighbour graphs, none of which may come back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.transfer.graphs import import_graph
from hypestore import EmbeddingSpec, Manifest, Store


def corpus(folder: Path, n: int) -> tuple[Store, Manifest, np.ndarray]:
    """A store with the embeddings of n documents on a line, so that who is near is plain."""
    vectors = np.stack([np.arange(n) ** 1.01, np.ones(n)], axis=1).astype(np.float32)
    store = Store.create(folder / "store")
    spec = EmbeddingSpec(
        id_prefix="line", inputs={"n": n}, dim=2, dtype="float32", shard_rows=700, keep_text=False
    )
    with store.embedding_work(spec) as work:
        for shard, first in enumerate(range(0, n, 700)):
            rows = vectors[first : first + 700]
            work.write_shard(shard, [f"d{first + i}" for i in range(len(rows))], rows, None)
        return store, work.finish(n), vectors


@pytest.mark.parametrize("builder", ["exact", "hnsw"])
def test_no_document_is_its_own_neighbour_after_the_first_batch(
    tmp_path: Path, builder: str
) -> None:
    """The published builder compared places in the corpus with places in the batch."""
    store, embeddings, _ = corpus(tmp_path, 2500)
    built = build_graph(store, embeddings, GraphOptions(k=6, builder=builder))
    neighbours = store.graph(built.graph).neighbours
    own = np.arange(len(neighbours))[:, None]
    assert not (neighbours == own).any()
    assert (np.abs(neighbours - own) <= 7).all(), "and no true neighbour was dropped instead"
    assert built.n_edges == 2500 * 6


@pytest.mark.parametrize("n", [1023, 1024, 1025, 1030, 2049])
def test_the_last_batch_may_hold_fewer_documents_than_neighbours(tmp_path: Path, n: int) -> None:
    """The published builder asks every batch for the best k, and fails where one has fewer."""
    store, embeddings, vectors = corpus(tmp_path, n)
    built = build_graph(store, embeddings, GraphOptions(k=50, builder="exact"))
    neighbours = store.graph(built.graph).neighbours
    for row in (0, 1, n // 2, 1022, n - 2, n - 1):
        distances = np.abs(vectors[:, 0].astype(np.float64) - vectors[row, 0])
        distances[row] = np.inf
        assert set(neighbours[row].tolist()) == set(np.argsort(distances, kind="stable")[:50])


def test_self_edges_of_a_published_file_are_left_out_and_counted(tmp_path: Path) -> None:
    store, embeddings, _ = corpus(tmp_path, 4)
    rows = {"d0": ["d1", "d2"], "d1": ["d1", "d0"], "d2": ["d1", "d2", "d3"], "d3": ["d2", "d2"]}
    path = tmp_path / "graph.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for doc_id, near in rows.items():
            out.write(json.dumps({"item_id": doc_id, "neighbors": near}) + "\n")
    taken = import_graph(store, path, embeddings)
    assert (taken.self_edges, taken.repeated, taken.n_edges) == (2, 1, 6)
    neighbours = store.graph(taken.graph).neighbours
    assert neighbours.tolist() == [[1, 2], [0, -1], [1, 3], [2, -1]]
