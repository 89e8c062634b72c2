"""Neighbour graphs against goldens of the published code: 19 neighbours of each of 500 documents.

The published builder asks for the 20 nearest, the document itself among them, and drops it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hypencli.engine.neighbours.similarity import Metric
from hypencli.ops.graphs.build import build_graph
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.select import choose_any_embeddings
from hypencli.ops.transfer.graphs import export_graph, import_graph
from hypestore import EmbeddingSpec, Store

K = 19


@pytest.fixture(scope="module")
def vectors(folder: Path) -> np.ndarray:
    actual: np.ndarray = np.load(folder / "golden.npz")["corpus_emb"]
    return actual


def published(folder: Path, metric: str) -> np.ndarray:
    """Ordinals [n, k] of the golden; its ids are d0, d1, …"""
    lines = (folder / f"graph_{metric}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["item_id"] for row in rows] == [f"d{i}" for i in range(len(rows))]
    return np.array([[int(one.removeprefix("d")) for one in row["neighbors"]] for row in rows])


@pytest.fixture
def store(tmp_path: Path, vectors: np.ndarray) -> Store:
    store_made = Store.create(tmp_path / "store")
    spec = EmbeddingSpec(
        id_prefix="golden", inputs={"corpus": "golden"}, dim=32, dtype="float32", keep_text=False
    )
    with store_made.embedding_work(spec) as work:
        work.write_shard(0, [f"d{i}" for i in range(len(vectors))], vectors, None)
        work.finish(len(vectors))
    return store_made


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_the_published_neighbours(
    store: Store, folder: Path, vectors: np.ndarray, metric: Metric
) -> None:
    """The same in the same order, but where two are as near as float32 can tell."""
    built = build_graph(store, choose_any_embeddings(store), GraphOptions(k=K, metric=metric))
    actual, wanted = store.graph(built.graph).neighbours, published(folder, metric)
    assert (actual == wanted).mean() > 0.98
    x = vectors.astype(np.float64)
    near = x @ x.T
    if metric == "l2":
        near = -np.sqrt(np.square(x[:, None] - x[None, :]).sum(axis=-1))
    for row in range(len(x)):
        np.testing.assert_allclose(near[row, actual[row]], near[row, wanted[row]], atol=1e-5)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_a_published_file_comes_in_and_goes_out(
    store: Store, folder: Path, tmp_path: Path, metric: Metric
) -> None:
    path = folder / f"graph_{metric}.jsonl"
    taken = import_graph(store, path, choose_any_embeddings(store), metric=metric)
    assert (taken.n_documents, taken.k, taken.n_edges) == (500, K, 500 * K)
    assert (taken.self_edges, taken.repeated) == (0, 0)
    assert taken.recall is not None
    assert taken.recall > 0.999
    np.testing.assert_array_equal(store.graph(taken.graph).neighbours, published(folder, metric))
    out = tmp_path / "out.jsonl"
    export_graph(store, taken.graph, output=out)
    assert out.read_bytes() == path.read_bytes()
