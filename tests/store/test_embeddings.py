"""Embedding sets: what goes in, what comes out, and who may write at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hypestore as hs

Vectors = Callable[..., np.ndarray]
Make = Callable[..., hs.Manifest]


def spec(**changes: Any) -> hs.EmbeddingSpec:
    values: dict[str, Any] = {
        "id_prefix": "corpus",
        "inputs": {"corpus": "corpus"},
        "dim": 8,
        "shard_rows": 4,
        "keep_text": False,
    }
    return hs.EmbeddingSpec(**{**values, **changes})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_set_gives_back_what_went_in(
    store: hs.Store, make_embeddings: Make, vectors: Vectors, dtype: str
) -> None:
    manifest = make_embeddings(store, 10, dtype=dtype)
    opened = store.embeddings(manifest.id)
    values = vectors(10)
    assert (opened.n, opened.dim, opened.dtype) == (10, 8, np.dtype(dtype))
    assert [(shard.offset, shard.n) for shard in opened.shards] == [(0, 4), (4, 4), (8, 2)]
    assert [first for first, _ in opened.blocks()] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([block for _, block in opened.blocks()]), values)
    np.testing.assert_array_equal(opened.shards[1].vectors(), values[4:8])
    np.testing.assert_array_equal(opened.vectors([9, 0, 9, 5]), values[[9, 0, 9, 5]])
    assert opened.shards[2].doc_ids.to_pylist() == ["d8", "d9"]
    assert all(shard.in_place for shard in opened.shards)
    assert manifest.stats == {
        "n_documents": 10,
        "dim": 8,
        "bytes": 80 * np.dtype(dtype).itemsize,
        "shard_rows": 4,
    }


def test_ids_texts_and_ordinals_are_looked_up(store: hs.Store, make_embeddings: Make) -> None:
    opened = store.embeddings(make_embeddings(store, 10).id)
    assert opened.ids(np.array([9, 0, 4, 0])) == ["d9", "d0", "d4", "d0"]
    assert opened.texts([9, 3, 9]) == ["text of d9", "text of d3", "text of d9"]
    assert opened.ordinals(["d9", "absent", "d0", "d5"]).tolist() == [9, -1, 0, 5]
    assert opened.ids([]) == []
    assert opened.texts([]) == []
    assert opened.ordinals([]).tolist() == []
    assert opened.vectors([]).shape == (0, 8)
    for wrong in (10, -1):
        with pytest.raises(hs.InvalidContent, match=str(wrong)):
            opened.ids([0, wrong])


def test_a_long_text_column_is_read_in_parts(store: hs.Store, make_embeddings: Make) -> None:
    opened = store.embeddings(make_embeddings(store, 3000, shard_rows=2500).id)
    asked = [0, 1023, 1024, 2499, 2500, 2999]
    assert opened.texts(asked) == [f"text of d{ordinal}" for ordinal in asked]


def test_text_that_was_not_kept_is_said(store: hs.Store, make_embeddings: Make) -> None:
    opened = store.embeddings(make_embeddings(store, keep_text=False).id)
    assert not opened.has_text
    assert not list(opened.folder.glob("text-*"))
    with pytest.raises(hs.TextNotKept, match="without text"):
        opened.texts([0])


def test_several_row_groups_make_several_blocks(store: hs.Store, vectors: Vectors) -> None:
    n, dim = 40_000, 2
    values = vectors(n, dim)
    with store.embedding_work(spec(dim=dim, shard_rows=n)) as work:
        work.write_shard(0, [str(i) for i in range(n)], values)
        manifest = work.finish(n)
    shard = store.embeddings(manifest.id).shards[0]
    assert [first for first, _ in shard.blocks()] == [0, 16_384, 32_768]
    assert all(not block.flags.owndata for _, block in shard.blocks())
    np.testing.assert_array_equal(shard.vectors(), values)
    with store.embedding_work(spec(dim=dim, shard_rows=5)) as work:
        assert work.existing == manifest  # how it is cut is no matter of identity


def test_a_set_without_documents_is_one(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        manifest = work.finish(0)
    opened = store.embeddings(manifest.id)
    assert (opened.n, opened.shards, list(opened.blocks())) == (0, (), [])
    assert opened.ids([]) == []
    assert opened.ordinals(["x"]).tolist() == [-1]


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (np.nan, "float16", "nan"),
        (np.inf, "float32", "inf"),
        (-np.inf, "float16", "-inf"),
        (70_000.0, "float16", "beyond float16"),
        (1e300, "float32", "beyond float32"),
    ],
)
def test_values_that_are_no_numbers_are_refused_naming_the_document(
    store: hs.Store, vectors: Vectors, value: float, dtype: str, said: str
) -> None:
    values = vectors(4).astype(np.float64)
    values[2, 5] = value
    with store.embedding_work(spec(dtype=dtype)) as work:
        with pytest.raises(hs.InvalidContent, match=r"document 'c' .*position 5") as caught:
            work.write_shard(0, list("abcd"), values)
        assert not work.has_shard(0)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("ids", "shape", "texts", "said"),
    [
        (["a", "b"], (3, 8), None, "2 ids"),
        (["a", "b"], (2, 7), None, "rows of 8"),
        (["a"], (8,), None, "shape"),
        ([], (0, 8), None, "0 ids"),
        (list("abcde"), (5, 8), None, "1 to 4"),
        (["a", "b", "a"], (3, 8), None, "'a' occurs twice"),
        (["a", ""], (2, 8), None, "''"),
        (["a", 1], (2, 8), None, "1 is not"),
        (["a", "\ud800"], (2, 8), None, "UTF-8"),
        (["a"], (1, 8), ["text"], "expected none"),
    ],
)
def test_what_does_not_fit_is_refused(
    store: hs.Store, ids: list[str], shape: tuple[int, ...], texts: list[str] | None, said: str
) -> None:
    with store.embedding_work(spec()) as work:
        with pytest.raises(hs.InvalidContent, match=said):
            work.write_shard(0, ids, np.zeros(shape, np.float32), texts)
        assert not work.has_shard(0)


@pytest.mark.parametrize("texts", [None, ["only one"], ["one", None]])
def test_texts_must_be_complete(store: hs.Store, texts: list[str] | None) -> None:
    with store.embedding_work(spec(keep_text=True)) as work:
        with pytest.raises(hs.InvalidContent, match="text"):
            work.write_shard(0, ["a", "b"], np.zeros((2, 8), np.float32), texts)
        assert not work.has_shard(0)


def test_a_document_in_two_shards_is_refused_by_name(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_shard(0, list("abcd"), np.zeros((4, 8)))
        work.write_shard(1, list("efb"), np.zeros((3, 8)))
        with pytest.raises(hs.InvalidContent, match=r"'b' .*shards \[0, 1\]"):
            work.finish(7)
        assert not store.has(work.id)
        work.write_shard(1, list("efg"), np.zeros((3, 8)))
        work.finish(7)


def test_missing_short_and_surplus_shards_stop_the_finish(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_shard(1, list("efgh"), np.zeros((4, 8)))
        assert work.missing(3) == [0, 2]
        with pytest.raises(hs.IncompleteWork, match=r"2 of 3 shards .* missing: 0, 2"):
            work.finish(9)
        work.write_shard(0, list("abc"), np.zeros((3, 8)))
        with pytest.raises(hs.IncompleteWork, match=r"Shard 0 .* has 3 vectors, expected 4"):
            work.finish(8)
        work.write_shard(0, list("abcd"), np.zeros((4, 8)))
        with pytest.raises(hs.IncompleteWork, match="vectors-00001"):
            work.finish(4)
        assert store.artifacts() == []
        assert work.finish(8).stats["n_documents"] == 8


def test_work_goes_on_where_it_stopped(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_shard(0, list("abcd"), np.zeros((4, 8)))
    assert store.shards_done(spec()) == 1
    with (
        pytest.raises(hs.InvalidContent, match="shard_rows"),
        store.embedding_work(spec(shard_rows=5)),
    ):
        pass
    with store.embedding_work(spec()) as work:
        assert work.missing(2) == [1]
        work.write_shard(1, ["e"], np.zeros((1, 8)))
        manifest = work.finish(5)
    assert store.embeddings(manifest.id).ids(range(5)) == list("abcde")
    assert store.shards_done(spec()) == 2


@pytest.mark.parametrize("name", ["vectors-00000.parquet", "text-00000.parquet"])
def test_a_shard_that_was_damaged_meanwhile_is_written_again(store: hs.Store, name: str) -> None:
    texts = [f"text {i}" for i in range(4)]
    with store.embedding_work(spec(keep_text=True)) as work:
        work.write_shard(0, list("abcd"), np.ones((4, 8)), texts)
    path = work.path / name
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with store.embedding_work(spec(keep_text=True)) as work:
        assert not work.has_shard(0)
        with pytest.raises(hs.IncompleteWork, match=r"Shard 0 .* is damaged"):
            work.finish(4)
        work.write_shard(0, list("abcd"), np.ones((4, 8)), texts)
        work.finish(4)
    assert store.embeddings(work.id).vectors(range(4)).tolist() == [[1.0] * 8] * 4


def test_a_finished_set_takes_no_more_shards(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_shard(0, ["a"], np.zeros((1, 8)))
        manifest = work.finish(1)
        with pytest.raises(hs.StoreError, match="finished"):
            work.write_shard(0, ["b"], np.zeros((1, 8)))
        assert work.finish(1) == manifest
    assert store.embeddings(manifest.id).ids([0]) == ["a"]


def test_what_changes_the_vectors_changes_the_id() -> None:
    ids = {
        spec().id,
        spec(dtype="float32").id,
        spec(dim=9).id,
        spec(keep_text=True).id,
        spec(inputs={"corpus": "corpus", "max_length": 5}).id,
    }
    assert len(ids) == 5
    assert spec(shard_rows=99, parents=("x",)).id == spec().id
    with pytest.raises(hs.InvalidContent, match="dim"):
        _ = spec(inputs={"dim": 3}).id


def test_parts_share_the_work(store: hs.Store) -> None:
    with (
        store.embedding_work(spec(), part=(1, 2)) as one,
        store.embedding_work(spec(), part=(2, 2)) as two,
    ):
        one.write_shard(0, list("abcd"), np.zeros((4, 8)))
        with pytest.raises(hs.IncompleteWork):
            one.finish(6)
        two.write_shard(1, list("ef"), np.zeros((2, 8)))
        manifest = two.finish(6)
        assert one.finish(6) == manifest
    assert store.artifacts("embeddings") == [manifest]


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 2), (1, 2)), (None, None), (None, (1, 2)), ((1, 2), None)],
)
def test_the_same_part_twice_is_refused(
    store: hs.Store, first: tuple[int, int] | None, second: tuple[int, int] | None
) -> None:
    with (
        store.embedding_work(spec(), part=first),
        pytest.raises(hs.ArtifactBusy, match="in use by process"),
        store.embedding_work(spec(), part=second),
    ):
        pass
    with store.embedding_work(spec(), part=second):
        pass


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (-1, 1)])
def test_parts_count_from_one(store: hs.Store, part: tuple[int, int]) -> None:
    with pytest.raises(hs.InvalidContent, match="count from 1"):
        store.embedding_work(spec(), part=part)


def test_a_missing_or_cut_file_is_noticed_on_opening(
    store: hs.Store, make_embeddings: Make
) -> None:
    manifest = make_embeddings(store)
    path = store.path(manifest) / "vectors-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(hs.DamagedArtifact, match="vectors-00001"):
        store.embeddings(manifest.id)
    path.unlink()
    with pytest.raises(hs.DamagedArtifact, match="missing"):
        store.embeddings(manifest.id)


def test_a_set_stays_readable_while_it_is_removed(store: hs.Store, make_embeddings: Make) -> None:
    opened = store.embeddings(make_embeddings(store).id)
    blocks = opened.blocks()
    _, first = next(blocks)
    kept = first.copy()
    store.remove(opened.manifest.id)
    np.testing.assert_array_equal(first, kept)
    with pytest.raises(hs.DamagedArtifact):
        list(blocks)
