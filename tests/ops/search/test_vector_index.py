"""Vector indexes as caches of a store: built once, found again, never trusted when damaged."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs
from hypencli.engine.vector_index.spec import INDEX_OPTIONS, IndexSpec
from hypencli.errors import ModelError, UsageError
from hypencli.ops.search.vector_index import (
    existing_index,
    index_name,
    make_index,
    open_existing,
    open_index,
)

N, DIM = 300, 16
OPTIONS = {"faiss-ivfpq": {"nlist": 8, "nbits": 4}, "faiss-ivf": {"nlist": 8}}


class Listener:
    """Hears what is built, and how many vectors of it."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.vectors = 0

    @contextmanager
    def task(self, description: str, **_: Any) -> Iterator[Any]:
        outer = self

        class Task:
            def advance(self, count: int = 1) -> None:
                outer.vectors += count

            def set_total(self, total: int) -> None: ...

            def note(self, text: str) -> None: ...

        yield Task()

    def message(self, text: str) -> None:
        self.messages.append(text)


def some_vectors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, DIM)).astype(np.float32)


def put(store: hs.Store, seed: int = 0) -> hs.EmbeddingSet:
    """An embedding set of N documents in shards of 128, float16."""
    spec = hs.EmbeddingSpec(
        id_prefix="docs",
        inputs={"corpus": "docs", "seed": seed},
        parents=(),
        dim=DIM,
        dtype="float16",
        shard_rows=128,
        keep_text=False,
    )
    vectors = some_vectors(seed)
    with store.embedding_work(spec) as work:
        for shard, start in enumerate(range(0, N, 128)):
            rows = vectors[start : start + 128]
            work.write_shard(shard, [f"d{start + i}" for i in range(len(rows))], rows, None)
        return store.embeddings(work.finish(N).id)


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


HNSWLIB = pytest.param("hnsw", marks=pytest.mark.hnswlib)


@pytest.fixture(params=[HNSWLIB if kind == "hnsw" else kind for kind in INDEX_OPTIONS])
def spec(request: pytest.FixtureRequest) -> IndexSpec:
    return IndexSpec(request.param, {"threads": 1, **OPTIONS.get(request.param, {})})


def names(store: hs.Store) -> list[str]:
    return [cache.name for cache in store.caches()]


def test_an_index_is_built_once(store: hs.Store, spec: IndexSpec) -> None:
    embeddings, listener = put(store), Listener()
    first = open_index(store, embeddings, spec, listener)
    assert names(store) == [first.cache] == [index_name(embeddings, spec)]
    assert first.build_seconds is not None
    assert first.build_seconds > 0
    assert listener.vectors == N
    assert spec.kind in listener.messages[0]
    again = open_index(hs.Store.open(store.root), embeddings, spec, listener)
    assert (again.build_seconds, again.cache, listener.vectors) == (None, first.cache, N)
    queries = some_vectors(seed=5)[:20]
    for one, other in zip(
        first.index.search(queries, 7), again.index.search(queries, 7), strict=True
    ):
        assert np.array_equal(one, other)


def test_ordinals_are_those_of_the_set(store: hs.Store) -> None:
    embeddings = put(store)
    queries = some_vectors(seed=5)[:20]
    actual, scores = open_index(store, embeddings, IndexSpec("faiss-flat")).index.search(queries, N)
    halves = some_vectors().astype(np.float16).astype(np.float32)
    wanted = queries @ halves.T
    assert np.array_equal(actual, np.argsort(-wanted, axis=1))
    np.testing.assert_allclose(scores, -np.sort(-wanted, axis=1), atol=1e-5)
    assert embeddings.ids(actual[0, :1]) == [f"d{wanted[0].argmax()}"]


@pytest.mark.parametrize(("kind", "name"), [("faiss-hnsw", "ef_search"), ("faiss-ivfpq", "nprobe")])
def test_parameters_of_searches_share_an_index(store: hs.Store, kind: str, name: str) -> None:
    embeddings, options = put(store), OPTIONS.get(kind, {"M": 4, "ef_construction": 10})
    built = open_index(store, embeddings, IndexSpec(kind, {**options, name: 1}))
    other = open_index(store, embeddings, IndexSpec(kind, {**options, name: 8, "threads": 2}))
    assert (other.cache, other.build_seconds) == (built.cache, None)
    queries = some_vectors(seed=5)[:100]
    assert not np.array_equal(built.index.search(queries, 1)[0], other.index.search(queries, 1)[0])


def test_what_determines_the_content_makes_another(store: hs.Store) -> None:
    embeddings, spec = put(store), IndexSpec("hnsw", {"threads": 1})
    named = {
        index_name(embeddings, spec),
        index_name(embeddings, IndexSpec("hnsw", {"threads": 1, "M": 8})),
        index_name(embeddings, IndexSpec("hnsw")),
        index_name(embeddings, IndexSpec("faiss-hnsw", {"threads": 1})),
        index_name(put(store, seed=1), spec),
    }
    assert len(named) == 5


@pytest.mark.parametrize("remedy", ["rm -r", "hype doctor --clean"])
def test_a_damaged_index_says_what_to_remove(tmp_path: Path, spec: IndexSpec, remedy: str) -> None:
    folder = damaged(tmp_path / "store", spec, remedy)
    gc.collect()  # the store that used the index is gone, as when the command has ended
    store = hs.Store.open(tmp_path / "store")
    if remedy == "rm -r":
        shutil.rmtree(folder)
    else:
        store.doctor(clean=True)
    (embeddings,) = store.artifacts("embeddings")
    assert open_index(store, store.embeddings(embeddings.id), spec).build_seconds is not None


def test_a_damaged_index_is_built_again_by_the_next_command(
    tmp_path: Path, spec: IndexSpec
) -> None:
    damaged(tmp_path / "store", spec, "rm -r")
    gc.collect()
    store = hs.Store.open(tmp_path / "store")
    (embeddings,) = store.artifacts("embeddings")
    again = open_index(store, store.embeddings(embeddings.id), spec)
    assert again.build_seconds is not None
    assert store.doctor(checksums=True).findings == ()


def damaged(root: Path, spec: IndexSpec, remedy: str) -> Path:
    """A store with an index that cannot be read any more; gives the folder of the index."""
    store = hs.Store.create(root)
    embeddings = put(store)
    path = root / "cache" / open_index(store, embeddings, spec).cache / "index.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(hs.DamagedArtifact, match="crc32") as caught:
        open_index(store, embeddings, spec)
    assert remedy in str(caught.value.hint)
    assert str(path.parent) in str(caught.value.hint)
    return path.parent


def test_a_refused_index_leaves_nothing(store: hs.Store) -> None:
    with pytest.raises(UsageError, match="256 centroids"):
        open_index(store, put(store), IndexSpec("faiss-ivfpq", {"train_size": 10}))
    assert names(store) == []
    assert list((store.root / "cache").iterdir()) == []


class Interrupted(Exception):
    """Raised in the middle of a build, as if the process had been killed."""


@pytest.mark.parametrize("kind", ["faiss-ivf", "faiss-flat16", "faiss-hnsw"])
def test_an_interrupted_build_goes_on(
    store: hs.Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PART_ROWS", "_GRAPH_PART_ROWS"):
        monkeypatch.setattr(f"hypencli.engine.vector_index.index.{name}", 100)
    spec = IndexSpec(kind, {"threads": 1, **({"nlist": 8} if kind == "faiss-ivf" else {})})
    elsewhere = hs.Store.create(tmp_path / "elsewhere")
    wanted = open_index(elsewhere, put(elsewhere), spec)
    read: list[int] = []
    broken = [False, True]
    embeddings = put(store)
    rows = hs.EmbeddingSet.vectors

    def failing(self: hs.EmbeddingSet, ordinals: np.ndarray) -> np.ndarray:
        read.append(int(ordinals[0]))
        if ordinals[0] == 200 and broken.pop():
            raise Interrupted
        return rows(self, ordinals)

    monkeypatch.setattr(hs.EmbeddingSet, "vectors", failing)
    with pytest.raises(Interrupted):
        open_index(store, embeddings, spec)
    kept = names(store)
    assert len(kept) == (2 if kind == "faiss-hnsw" else 3)  # of lists, what was learned too
    assert index_name(embeddings, spec) not in kept
    read.clear()
    done = open_index(store, embeddings, spec)
    assert 100 not in read  # the second part was there
    assert names(store) == [index_name(embeddings, spec)]
    queries = some_vectors(seed=5)[:20]
    for one, other in zip(
        wanted.index.search(queries, 9), done.index.search(queries, 9), strict=True
    ):
        assert np.array_equal(one, other)


def test_parts_of_lists_are_searched_together(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By four parts as by the exhaustive search of the same vectors."""
    monkeypatch.setattr("hypencli.engine.vector_index.index._PART_ROWS", 80)
    embeddings = put(store)
    index = open_index(store, embeddings, IndexSpec("faiss-ivf", {"nlist": 8, "nprobe": 8})).index
    queries = some_vectors(seed=5)[:20]
    wanted = queries @ some_vectors().astype(np.float16).astype(np.float32).T
    ordinals, scores = index.search(queries, 25)
    assert np.array_equal(ordinals, np.argsort(-wanted, axis=1)[:, :25])
    np.testing.assert_allclose(scores, -np.sort(-wanted, axis=1)[:, :25], atol=1e-5)


def test_the_recall_of_an_index_is_that_of_its_searches(store: hs.Store) -> None:
    embeddings = put(store)
    spec = IndexSpec("faiss-ivf", {"nlist": 32, "nprobe": 4})
    index = open_index(store, embeddings, spec).index
    sample = index.sample
    assert sample is not None
    vectors = some_vectors().astype(np.float16).astype(np.float32)
    assert np.array_equal(sample.vectors, vectors[sample.ordinals])
    places = np.linspace(0, N - 1, 32).astype(int)
    queries = vectors[places] - vectors.mean(axis=0)
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :100]
    for effort, by_depth in sample.recall.items():
        found = index.search(queries, 100, effort)[0]
        shares = [len(set(a) & set(b)) / 100 for a, b in zip(found, best, strict=True)]
        assert by_depth[100] == pytest.approx(np.mean(shares))
    assert sample.effort(0.99) == min(e for e, r in sample.recall.items() if min(r.values()) > 0.99)


def test_a_search_takes_an_index_of_its_own_vectors_alone(store: hs.Store) -> None:
    embeddings, other = put(store), put(store, seed=1)
    made = make_index(store, other, "flat16", {})
    assert existing_index(store, embeddings.manifest.id) is None
    assert existing_index(store, other.manifest.id) == made.cache
    assert existing_index(store, other.manifest.id, "none") is None
    preferred = make_index(store, other, "ivf", {"nlist": "8"})
    assert existing_index(store, other.manifest.id) == preferred.cache
    assert existing_index(store, other.manifest.id, "flat16") == made.cache
    with pytest.raises(UsageError, match="no index of the kind hnsw") as caught:
        existing_index(store, other.manifest.id, "hnsw")
    assert f"hype index {other.manifest.id} --kind hnsw" in str(caught.value.hint)


def test_an_index_that_is_gone_or_damaged_says_so(store: hs.Store) -> None:
    embeddings = put(store)
    made = make_index(store, embeddings, "ivf", {"nlist": "8"})
    folder = store.root / "cache" / made.cache
    gc.collect()
    path = folder / "sample-ordinals.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(hs.DamagedArtifact, match="sample of the index") as caught:
        open_existing(store, made.cache)
    assert "hype doctor --clean" in str(caught.value.hint)
    path.write_bytes(content)
    assert open_existing(store, made.cache).n == N
    store.remove_cache(made.cache)
    with pytest.raises(UsageError, match="was removed") as gone:
        open_existing(store, made.cache)
    assert "hype index" in str(gone.value.hint)


def test_an_index_that_names_unknown_documents_is_refused(
    store: hs.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file is not compared whole, so what it names is checked."""
    embeddings = put(store)
    index = open_index(store, embeddings, IndexSpec("faiss-flat16")).index
    index.n = 100
    with pytest.raises(ModelError, match="the corpus has 100"):
        index.search(some_vectors(seed=5)[:3], 100)


def test_a_set_without_documents_has_no_index(store: hs.Store) -> None:
    spec = hs.EmbeddingSpec(id_prefix="none", inputs={}, dim=DIM, shard_rows=8, keep_text=False)
    with store.embedding_work(spec) as work:
        empty = store.embeddings(work.finish(0).id)
    with pytest.raises(UsageError, match="no documents to index"):
        make_index(store, empty, "ivf", {})
