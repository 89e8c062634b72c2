"""Vectors of chosen documents, against indexing an array that has all of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hypestore as hs
from hypestore.embeddings.vector_file import parts

Vectors = Callable[..., np.ndarray]
ROWS = 16_384
"""Rows of a row group."""

N = 2 * ROWS + 500
DIM = 3


@pytest.fixture(scope="module")
def values(vectors: Vectors) -> np.ndarray:
    return vectors(N, DIM).astype(np.float16)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> hs.VectorFile:
    """Three row groups that are mapped."""
    path = tmp_path_factory.mktemp("file") / "v.parquet"
    hs.write_vector_file(path, [f"d{row}" for row in range(N)], values)
    return hs.VectorFile(path)


@pytest.fixture(scope="module")
def decoded(file: hs.VectorFile, tmp_path_factory: pytest.TempPathFactory) -> hs.VectorFile:
    """The same vectors, compressed, in row groups of 10,000: nothing can be mapped."""
    path = tmp_path_factory.mktemp("decoded") / "v.parquet"
    pq.write_table(pq.read_table(file.path), path, compression="zstd", row_group_size=10_000)
    actual = hs.VectorFile(path, dim=DIM)
    assert not actual.in_place
    return actual


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> hs.EmbeddingSet:
    """Two shards, the first of two row groups."""
    store = hs.Store.create(tmp_path_factory.mktemp("sharded") / "store")
    rows = ROWS + 100
    spec = hs.EmbeddingSpec(
        id_prefix="docs", inputs={}, dim=DIM, dtype="float16", shard_rows=rows, keep_text=False
    )
    with store.embedding_work(spec) as work:
        for shard, first in enumerate(range(0, N, rows)):
            some = values[first : first + rows]
            work.write_shard(shard, [f"d{first + i}" for i in range(len(some))], some)
        return store.embeddings(work.finish(N).id)


PLACES = [
    [],
    [0],
    [N - 1],
    [ROWS - 1, ROWS],
    [ROWS, ROWS - 1],
    [N - 1, 0, ROWS, 5, ROWS + 100, ROWS + 99],
    [7, 7, 7],
    [7, N - 1, 7, 0, N - 1],
    list(range(0, N, 997)),
    list(range(N - 1, 0, -997)),
]


@pytest.mark.parametrize("places", PLACES, ids=lambda places: f"{len(places)}: {places[:3]}")
@pytest.mark.parametrize("source", ["file", "decoded", "sharded"])
def test_rows_come_in_the_order_asked_for(
    request: pytest.FixtureRequest, values: np.ndarray, source: str, places: list[int]
) -> None:
    opened: Any = request.getfixturevalue(source)
    wanted = np.array(places, dtype=np.int64)
    taken = opened.vectors(wanted) if source == "sharded" else opened.take(wanted)
    assert (taken.shape, taken.dtype) == ((len(places), DIM), np.float16)
    np.testing.assert_array_equal(taken, values[wanted])
    assert taken.flags.aligned
    assert taken.flags.writeable


def test_what_was_taken_is_a_copy(sharded: hs.EmbeddingSet, values: np.ndarray) -> None:
    places = np.array([3, ROWS + 200])
    sharded.vectors(places)[:] = 0
    np.testing.assert_array_equal(sharded.vectors(places), values[places])


def test_any_integers_name_documents(sharded: hs.EmbeddingSet, values: np.ndarray) -> None:
    expected = values[[5, 0, N - 1]]
    given_as: list[Any] = [
        [5, 0, N - 1],
        (5, 0, N - 1),
        np.array([5, 0, N - 1], dtype=np.int32),
        np.array([5, 0, N - 1], dtype=np.uint16),
        range(5, 6),
    ]
    for places in given_as[:-1]:
        np.testing.assert_array_equal(sharded.vectors(places), expected)
    np.testing.assert_array_equal(sharded.vectors(given_as[-1]), expected[:1])


@pytest.mark.parametrize("wrong", [[N], [-1], [0, N, 3], [5, -2]])
def test_a_document_that_is_not_there_is_named(sharded: hs.EmbeddingSet, wrong: list[int]) -> None:
    named = next(place for place in wrong if not 0 <= place < N)
    with pytest.raises(hs.InvalidContent, match=rf"no document {named} in .* has {N}"):
        sharded.vectors(wrong)


def test_threads_take_at_once(sharded: hs.EmbeddingSet, values: np.ndarray) -> None:
    """A set that was just opened: its files are opened and mapped by whoever comes first."""
    opened = hs.EmbeddingSet(sharded.folder, sharded.manifest)
    random = np.random.default_rng(0)
    asked = [random.integers(0, N, 50) for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for places, taken in zip(asked, pool.map(opened.vectors, asked), strict=True):
            np.testing.assert_array_equal(taken, values[places])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 60),
    shard_rows=st.integers(1, 70),
    dtype=st.sampled_from(["float16", "float32"]),
    data=st.data(),
)
def test_every_cutting_gives_the_same(
    store: hs.Store,
    make_embeddings: Callable[..., hs.Manifest],
    vectors: Vectors,
    n: int,
    shard_rows: int,
    dtype: str,
    data: st.DataObject,
) -> None:
    manifest = make_embeddings(
        store, n, shard_rows=shard_rows, dtype=dtype, keep_text=False, cut=[n, shard_rows, dtype]
    )
    opened = store.embeddings(manifest.id)
    places = data.draw(st.lists(st.integers(0, n - 1), max_size=40))
    np.testing.assert_array_equal(opened.vectors(places), vectors(n)[places])
    assert opened.ids(places) == [f"d{place}" for place in places]


@given(
    places=st.lists(st.integers(0, 50), max_size=30),
    more_firsts=st.lists(st.integers(0, 50), max_size=6),
)
def test_places_are_cut_by_the_parts_that_they_lie_in(
    places: list[int], more_firsts: list[int]
) -> None:
    """Each place once, in the last of the parts that begin at or before it; some are empty."""
    firsts, wanted = [0, *sorted(more_firsts)], np.array(places, dtype=np.int64)
    actual = np.full(len(wanted), -1)
    for index, where in parts(wanted, firsts):
        assert (actual[where] == -1).all()
        assert len(actual[where]) > 0
        actual[where] = index
    expected = [max(i for i, first in enumerate(firsts) if first <= place) for place in places]
    assert actual.tolist() == expected


def test_a_damaged_file_is_named_when_its_vectors_are_asked_for(
    store: hs.Store, make_embeddings: Callable[..., hs.Manifest]
) -> None:
    opened = store.embeddings(make_embeddings(store, 10, shard_rows=4).id)
    path: Path = opened.shards[1].path
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(hs.DamagedArtifact, match=path.name):
        opened.vectors([0, 5])
