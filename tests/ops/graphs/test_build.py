"""Graphs of a real embedding set: made once, by every builder, found again, resumed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hypestore
from hypencli.errors import DeviceError, MissingDependencyError, ModelError, UsageError
from hypencli.ops.graphs import exact, registry
from hypencli.ops.graphs.build import build_graph, existing_graph
from hypencli.ops.graphs.find import find_graph, recall_of
from hypencli.ops.graphs.options import GraphOptions
from hypencli.ops.models import ModelSource
from hypencli.ops.select import choose_any_embeddings
from hypencli.progress import SilentProgress
from hypestore import Manifest, Store

N, DIM = 400, 16


class Told(SilentProgress):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def add_set(store: Store, vectors: np.ndarray, name: str, **inputs: Any) -> Manifest:
    spec = hypestore.EmbeddingSpec(
        id_prefix=name,
        inputs={"corpus": f"file:{name}.jsonl", "passage_fingerprint": "f", **inputs},
        dim=vectors.shape[1],
        dtype="float32",
        shard_rows=150,
        keep_text=False,
    )
    with store.embedding_work(spec, name=name) as work:
        for shard, first in enumerate(range(0, len(vectors), 150)):
            rows = vectors[first : first + 150]
            work.write_shard(shard, [f"d{first + i}" for i in range(len(rows))], rows, None)
        return work.finish(len(vectors))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


@pytest.fixture
def vectors() -> np.ndarray:
    generator = np.random.default_rng(5)
    centres = generator.normal(0, 1, (10, DIM))
    near = centres[generator.integers(10, size=N)] + generator.normal(0, 0.3, (N, DIM))
    return near.astype(np.float32)


@pytest.fixture
def docs(store: Store, vectors: np.ndarray) -> Manifest:
    return add_set(store, vectors, "docs")


@pytest.fixture
def unit(store: Store, vectors: np.ndarray) -> Manifest:
    """The same vectors, of length 1."""
    return add_set(store, vectors / np.linalg.norm(vectors, axis=1)[:, None], "unit")


def by_hand(vectors: np.ndarray, k: int) -> np.ndarray:
    x = torch.from_numpy(vectors).double()
    distances = torch.cdist(x, x).fill_diagonal_(torch.inf)
    return torch.topk(distances, k, dim=1, largest=False).indices.numpy()


def shared(actual: np.ndarray, wanted: np.ndarray) -> float:
    pairs = zip(actual.tolist(), wanted.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def test_auto_is_exact_for_a_small_set(store: Store, docs: Manifest, vectors: np.ndarray) -> None:
    told = Told()
    built = build_graph(store, docs, GraphOptions(k=10, name="near"), told)
    assert (built.builder, built.recall, built.existing) == ("exact", None, False)
    assert (built.n_documents, built.k, built.n_edges) == (N, 10, N * 10)
    assert any("builder: exact" in message for message in told.messages)
    graph = store.graph("near")
    assert shared(graph.neighbours, by_hand(vectors, 10)) > 0.999
    assert graph.manifest.inputs == {
        "embeddings": docs.id,
        "k": 10,
        "metric": "l2",
        "builder": "exact",
        "dtype": "float32",
    }
    assert graph.manifest.provenance["seed"] is None
    assert not (store.path(graph.manifest) / hypestore.SCRATCH_NAME).exists()


def test_the_same_graph_is_made_once(store: Store, docs: Manifest) -> None:
    first = build_graph(store, docs, GraphOptions(k=5))
    again = build_graph(store, docs, GraphOptions(k=5, builder="exact", seed=9))
    assert (again.existing, again.graph) == (True, first.graph)
    assert build_graph(store, docs, GraphOptions(k=5, metric="cos")).graph != first.graph


APPROXIMATE = [
    *(("hnsw", metric) for metric in ("l2", "ip", "cos")),
    ("nn-descent", "l2"),
    # Each is compiled for up to half a minute.
    *(pytest.param("nn-descent", metric, marks=pytest.mark.slow) for metric in ("ip", "cos")),
]


@pytest.mark.parametrize(("builder", "metric"), APPROXIMATE)
def test_approximate_builders_tell_their_recall(
    store: Store, docs: Manifest, builder: Any, metric: Any
) -> None:
    """Also by inner product, though the vectors are of different lengths."""
    built = build_graph(store, docs, GraphOptions(k=10, builder=builder, metric=metric))
    exact = build_graph(store, docs, GraphOptions(k=10, builder="exact", metric=metric))
    actual, wanted = store.graph(built.graph), store.graph(exact.graph)
    # All of the 400 documents are in the sample, so the recall is that of the whole graph.
    assert built.recall == pytest.approx(shared(actual.neighbours, wanted.neighbours))
    assert built.recall > 0.97
    assert built.advice is None
    assert actual.manifest.stats["recall"] == {
        "value": built.recall,
        "k": 10,
        "sample": N,
        "seed": 0,
    }
    assert actual.manifest.inputs["seed"] == actual.manifest.provenance["seed"] == 0


def test_nn_descent_of_one_seed_is_one_graph(store: Store, docs: Manifest) -> None:
    graphs = []
    for seed in (3, 3):
        built = build_graph(
            store, docs, GraphOptions(k=10, builder="nn-descent", seed=seed, options={"trees": 1})
        )
        graphs.append(store.graph(built.graph).neighbours.copy())
        store.remove(built.graph)
    np.testing.assert_array_equal(graphs[0], graphs[1])


def test_low_recall_names_what_to_raise(store: Store, vectors: np.ndarray) -> None:
    scattered = np.random.default_rng(0).normal(0, 1, (3000, 64)).astype(np.float32)
    wide = add_set(store, scattered, "wide")
    poor = GraphOptions(
        k=20, builder="hnsw", options={"m": 2, "ef_construction": 3, "ef_search": 1}
    )
    built = build_graph(store, wide, poor)
    assert built.recall is not None
    assert built.recall < 0.95
    assert "ef_search" in str(built.advice)
    poor = GraphOptions(
        k=20, builder="nn-descent", options={"candidates": 2, "iterations": 1, "trees": 1}
    )
    assert "candidates" in str(build_graph(store, wide, poor).advice)


def test_nn_descent_needs_more_documents_than_neighbours(store: Store, docs: Manifest) -> None:
    with pytest.raises(UsageError, match="400"):
        build_graph(store, docs, GraphOptions(k=399, builder="nn-descent"))


def test_hnsw_of_few_documents(store: Store, vectors: np.ndarray) -> None:
    few = add_set(store, vectors[:5], "few")
    built = build_graph(store, few, GraphOptions(k=8, builder="hnsw"))
    assert (built.recall, built.n_edges) == (1.0, 20)


@pytest.mark.hnswlib
def test_auto_takes_what_is_installed(
    store: Store, docs: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "AUTO_EXACT_DOCUMENTS", 100)
    installed = {"pynndescent", "hnswlib", "faiss"}
    actual = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: actual(name) if name in installed else None
    )
    packages = {"pynndescent": "nn-descent", "hnswlib": "hnsw", "faiss": "faiss-hnsw"}
    for package, builder in packages.items():
        assert build_graph(store, docs, GraphOptions(k=5)).builder == builder
        installed.remove(package)
    monkeypatch.setattr(registry, "AUTO_EXACT_DOCUMENTS", 2000)
    more = add_set(store, np.ones((2500, DIM), np.float32), "more")
    with pytest.raises(MissingDependencyError, match="hours") as caught:
        build_graph(store, more, GraphOptions(k=5))
    assert "pip install 'pynndescent>=0.7'" in str(caught.value.hint)
    assert "`builder=exact`" in str(caught.value.hint)


@pytest.mark.parametrize("metric", ["l2", "ip", "cos"])
def test_hnsw_without_hnswlib_is_that_of_faiss(
    store: Store, docs: Manifest, metric: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its own name, so that nobody takes the one library's graph for the other's."""
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    asked = GraphOptions(k=10, builder="hnsw", metric=metric)
    made = build_graph(store, docs, asked)
    assert (made.builder, store.get(made.graph).inputs["builder"]) == ("faiss-hnsw", "faiss-hnsw")
    assert made.recall is not None
    assert made.recall > 0.97
    assert build_graph(store, docs, asked).existing
    poor = {"m": 2, "ef_construction": 3, "ef_search": 1}
    worse = build_graph(store, docs, replace(asked, options=poor))
    assert worse.recall is not None
    assert worse.recall < made.recall


def test_a_package_that_is_not_there_is_named(
    store: Store, docs: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match="faiss") as caught:
        build_graph(store, docs, GraphOptions(k=5, builder="hnsw"))
    assert "pip install 'faiss-cpu>=1.11'" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        (GraphOptions(k=0), UsageError, "k is 0"),
        (GraphOptions(metric="l1"), UsageError, "metric 'l1'"),  # type: ignore[arg-type]
        (GraphOptions(builder="ivf"), UsageError, "builder 'ivf'"),
        (GraphOptions(builder="hnsw", options={"dtype": "bfloat16"}), UsageError, "dtype"),
        (GraphOptions(options={"dtype": "float23"}), DeviceError, "float23"),
        (GraphOptions(device="tpu9"), DeviceError, "tpu9"),
    ],
)
def test_wrong_options_are_refused_and_leave_nothing(
    store: Store, docs: Manifest, options: GraphOptions, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        build_graph(store, docs, options)
    assert store.artifacts("graph") == []
    assert store.unfinished() == []


def test_vectors_too_long_are_refused(store: Store, vectors: np.ndarray) -> None:
    long = add_set(store, vectors * np.float32(1e20), "long")
    with pytest.raises(ModelError, match="too long"):
        build_graph(store, long, GraphOptions(k=5))
    assert store.unfinished() == []


def test_rounded_products_are_measured(store: Store, docs: Manifest) -> None:
    built = build_graph(store, docs, GraphOptions(k=10, options={"dtype": "bfloat16"}))
    assert built.recall is not None
    assert 0.5 < built.recall < 1
    assert built.advice is None or "--dtype float32" in built.advice


def test_a_wider_graph_serves_a_narrower_search(store: Store, docs: Manifest) -> None:
    wide = build_graph(store, docs, GraphOptions(k=10, name="wide"))
    assert find_graph(store, docs.id, k=4).id == wide.graph
    assert find_graph(store, docs.id, k=10, metric="l2", named="wide").id == wide.graph
    approximate = build_graph(store, docs, GraphOptions(k=12, builder="hnsw"))
    assert find_graph(store, docs.id, k=4).id == wide.graph, "exact before approximate"
    assert find_graph(store, docs.id, k=11).id == approximate.graph
    coarse = build_graph(store, docs, GraphOptions(k=12, options={"dtype": "bfloat16"}))
    assert recall_of(store.get(coarse.graph)) < recall_of(store.get(approximate.graph))
    assert find_graph(store, docs.id, k=11).id == approximate.graph, "the higher recall"


def test_a_graph_is_found_by_all_that_it_is_made_from(store: Store, docs: Manifest) -> None:
    exact = GraphOptions(k=10, builder="exact")
    assert existing_graph(store, docs, exact) is None
    assert existing_graph(store, docs, GraphOptions(k=4)) is None
    built = build_graph(store, docs, exact)
    serving = [existing_graph(store, docs, one) for one in (exact, GraphOptions(k=4))]
    assert [one and one.id for one in serving] == [built.graph, built.graph]
    for other in (
        GraphOptions(k=4, builder="exact"),
        GraphOptions(k=10, builder="exact", options={"dtype": "bfloat16"}),
        GraphOptions(k=10, builder="hnsw"),
        GraphOptions(k=11),
    ):
        assert existing_graph(store, docs, other) is None, other


def test_no_graph_says_how_to_make_one(store: Store, docs: Manifest, unit: Manifest) -> None:
    build_graph(store, unit, GraphOptions(k=50))
    with pytest.raises(UsageError, match="no neighbour graph; 20 are required") as caught:
        find_graph(store, docs.id, k=20)
    assert f"hype graph {docs.id} --k 20" in str(caught.value.hint)
    build_graph(store, docs, GraphOptions(k=10, name="ten"))
    with pytest.raises(UsageError, match="at most 10 neighbours") as caught:
        find_graph(store, docs.id, k=20, metric="l2")
    assert f"hype graph {docs.id} --k 20 --metric l2" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no neighbour graph by cos"):
        find_graph(store, docs.id, k=5, metric="cos")
    with pytest.raises(UsageError, match="belongs to the embedding set"):
        find_graph(store, unit.id, k=5, named="ten")
    with pytest.raises(UsageError, match="10 neighbours a document by l2"):
        find_graph(store, docs.id, k=11, named="ten")
    with pytest.raises(UsageError, match="by ip are required"):
        find_graph(store, docs.id, k=5, metric="ip", named="ten")
    with pytest.raises(hypestore.ArtifactNotFound):
        find_graph(store, docs.id, k=5, named="eleven")


def test_graphs_of_several_metrics_are_listed(store: Store, docs: Manifest) -> None:
    by_l2 = build_graph(store, docs, GraphOptions(k=10))
    build_graph(store, docs, GraphOptions(k=10, metric="cos", name="angles"))
    with pytest.raises(UsageError, match=r"angles \(cos\)"):
        find_graph(store, docs.id, k=5)
    assert find_graph(store, docs.id, k=5, metric="l2").id == by_l2.graph


def test_the_only_embedding_set_is_taken(store: Store, docs: Manifest) -> None:
    assert choose_any_embeddings(store) == docs
    assert choose_any_embeddings(store, named="docs") == docs
    assert choose_any_embeddings(store, corpus="docs.jsonl") == docs


def test_one_of_several_must_be_said(store: Store, docs: Manifest, unit: Manifest) -> None:
    with pytest.raises(UsageError, match="Several embedding sets: docs"):
        choose_any_embeddings(store)
    assert choose_any_embeddings(store, corpus="unit.jsonl") == unit
    store.set_default("corpus", "docs.jsonl")
    assert choose_any_embeddings(store) == docs
    with pytest.raises(UsageError, match=r"No embedding set of corpus x.*docs .*unit ") as caught:
        choose_any_embeddings(store, corpus="x")
    assert "hype encode x" in str(caught.value.hint)


def test_a_model_says_which_set(study: Path) -> None:
    trained = Store.open(study)
    selected = choose_any_embeddings(trained, model=ModelSource("plain"))
    assert selected.name == "plain-docs"


def test_an_empty_store_has_no_embeddings(store: Store) -> None:
    with pytest.raises(UsageError, match="Embedding sets of the store: none") as caught:
        choose_any_embeddings(store)
    assert "hype encode" in str(caught.value.hint)


def test_a_snapshot_that_does_not_fit_is_left_aside(
    store: Store, docs: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = store.graph(build_graph(store, docs, GraphOptions(k=6)).graph).neighbours.copy()
    store.remove(store.artifacts("graph")[0].id)
    monkeypatch.setattr(exact, "SAVE_SECONDS", 0.0)
    options = GraphOptions(k=6)
    with store.graph_draft(docs.id, "docs-l2-k6", {"metric": "l2"}, k=6) as draft:
        folder = draft.path.with_name(build_id(store, docs, options)) / hypestore.SCRATCH_NAME
        folder.mkdir(parents=True)
        (folder / "neighbours.npz").write_bytes(b"torn")
        draft.discard()
    again = build_graph(store, docs, replace(options, name="again"))
    np.testing.assert_array_equal(store.graph(again.graph).neighbours, wanted)


def build_id(store: Store, docs: Manifest, options: GraphOptions) -> str:
    fixed = {"metric": options.metric, "builder": "exact", "dtype": "float32"}
    inputs = {**fixed, "embeddings": docs.id, "k": 6}
    return hypestore.artifact_id("graph", "docs-l2-k6", inputs)
