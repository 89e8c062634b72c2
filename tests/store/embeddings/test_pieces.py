"""Notes and pieces of unfinished sets: what a writer goes on from, and what it does not believe."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs

DIM, ROWS = 3, 4
DOCUMENTS = [(f"d{i}", f"text {i}") for i in range(ROWS)]
DIGEST = hs.documents_sha256(DOCUMENTS)
NOTE = hs.ShardNote(documents_sha256=DIGEST, n_cut=1)
OTHER = hs.ShardNote(documents_sha256=hs.documents_sha256([("d0", "else")]), n_cut=0)


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


def spec(**changes: Any) -> hs.EmbeddingSpec:
    values = {"id_prefix": "c", "inputs": {}, "dim": DIM, "shard_rows": ROWS, **changes}
    return hs.EmbeddingSpec(**values)


def vectors(value: float = 1.0, n: int = ROWS) -> np.ndarray[Any, Any]:
    return np.full((n, DIM), value, dtype=np.float32)


def write(work: hs.EmbeddingWork, note: hs.ShardNote | None, *, text: str = "text") -> None:
    texts = [f"{text} {i}" for i in range(ROWS)]
    work.write_shard(0, [name for name, _ in DOCUMENTS], vectors(), texts, note=note)


def test_the_hash_is_the_one_that_the_format_describes() -> None:
    digest = hashlib.sha256()
    for part in ("a", "ü", "b", ""):
        raw = part.encode("utf-8")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    assert hs.documents_sha256([("a", "ü"), ("b", "")]) == digest.hexdigest()


def test_a_note_says_of_which_documents_a_shard_is(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        write(work, NOTE)
    with store.embedding_work(spec()) as work:
        assert work.note(0) == NOTE
        assert work.has_shard(0)
        assert work.has_shard(0, DIGEST)
        assert not work.has_shard(0, OTHER.documents_sha256)
        with pytest.raises(hs.IncompleteWork, match="made of other documents"):
            work.finish(ROWS, documents=[OTHER.documents_sha256])
        manifest = work.finish(ROWS, documents=[DIGEST])
    assert [file.path for file in manifest.files] == [
        "text-00000.parquet",
        "vectors-00000.parquet",
    ]
    assert not (store.path(manifest) / hs.SCRATCH_NAME).exists()


@pytest.mark.parametrize("keep_text", [True, False])
def test_a_shard_without_a_note_is_compared_by_its_texts(store: hs.Store, keep_text: bool) -> None:
    """Earlier versions wrote no notes."""
    with store.embedding_work(spec(keep_text=keep_text)) as work:
        texts = [text for _, text in DOCUMENTS] if keep_text else None
        work.write_shard(0, [name for name, _ in DOCUMENTS], vectors(), texts)
        assert work.note(0) is None
        assert work.has_shard(0, DIGEST) == keep_text
        assert not work.has_shard(0, OTHER.documents_sha256)


@pytest.mark.parametrize(
    "content",
    ["", "no json", "{}", '{"documents_sha256": "../x", "n_cut": 0}', "[1]", '{"n_cut": -1}'],
)
def test_a_note_that_is_none_is_not_believed(store: hs.Store, content: str) -> None:
    with store.embedding_work(spec()) as work:
        write(work, OTHER)
        note = work.path / hs.SCRATCH_NAME / "shard-00000.json"
        assert json.loads(note.read_text()) == OTHER.model_dump()
        note.write_text(content, encoding="utf-8")
        assert work.note(0) is None
        assert work.has_shard(0, DIGEST), "its texts are compared"


def test_pieces_are_given_back_until_the_shard_is_written(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_piece(0, DIGEST, [2, 0], np.stack([vectors(5)[0], vectors(6)[0]]))
        work.write_piece(0, DIGEST, [1], vectors(7, 1))
        work.write_piece(1, DIGEST, [1], vectors(8, 1))
    with store.embedding_work(spec()) as work:
        kept = {
            int(row): vector[0]
            for rows, values in work.pieces(0, DIGEST, ROWS)
            for row, vector in zip(rows, values, strict=True)
        }
        assert kept == {2: 5, 0: 6, 1: 7}
        assert list(work.pieces(0, OTHER.documents_sha256, ROWS)) == []
        write(work, NOTE)
        assert list(work.pieces(0, DIGEST, ROWS)) == []
        assert len(list(work.pieces(1, DIGEST, ROWS))) == 1
        assert work.missing(2) == [1]


@pytest.mark.parametrize("rows", [[ROWS], [10**6]])
def test_a_piece_with_rows_beyond_its_shard_is_not_used(store: hs.Store, rows: list[int]) -> None:
    with store.embedding_work(spec()) as work:
        work.write_piece(0, DIGEST, rows, vectors(1, 1))
        assert list(work.pieces(0, DIGEST, ROWS)) == []


@pytest.mark.parametrize("name", ["-1", "1.0", "x", "٣", "9" * 5_000, ""])
def test_a_piece_with_a_row_that_is_no_number_is_not_used(store: hs.Store, name: str) -> None:
    with store.embedding_work(spec()) as work:
        work.write_piece(0, DIGEST, [0], vectors(1, 1))
        (path,) = (work.path / hs.SCRATCH_NAME).glob("piece-*")
        hs.write_vector_file(path, [name], vectors(1, 1))
        assert list(work.pieces(0, DIGEST, ROWS)) == []


def test_a_piece_of_another_width_is_not_used(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        work.write_piece(0, DIGEST, [0], np.zeros((1, DIM + 1), dtype=np.float32))
        assert list(work.pieces(0, DIGEST, ROWS)) == []


def test_a_dropped_shard_leaves_nothing(store: hs.Store) -> None:
    with store.embedding_work(spec()) as work:
        write(work, NOTE)
        work.write_piece(0, DIGEST, [0], vectors(1, 1))
        work.drop_shard(0)
        assert not work.has_shard(0)
        assert (work.note(0), work.has_shards) == (None, False)
        assert list(work.pieces(0, DIGEST, ROWS)) == []
