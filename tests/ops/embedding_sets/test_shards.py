"""Encoding that is interrupted within a shard, what it says of itself, and texts that are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hypencli.data.corpus import open_corpus
from hypencli.ops.embedding_sets import shards
from hypencli.ops.encode import encode
from hypestore import Store
from tests.ops.embedding_sets.conftest import (
    HYPER,
    OPTIONS,
    Listener,
    Stopped,
    files,
    run,
    write,
)

ONE_SHARD = replace(OPTIONS, shard_rows=100, batch_size=2)


@pytest.fixture(autouse=True)
def _a_piece_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PIECE_SECONDS", 0.0)


def stop_within_a_shard(store: Store, path: Path, after: int) -> Path:
    """Stop after some documents of the only shard; gives the folder of what is kept."""
    with pytest.raises(Stopped):
        run(store, path, ONE_SHARD, Listener(stop_after=after))
    (work,) = store.unfinished("embeddings")
    assert not list(work.path.glob("*.parquet")), "the shard is not complete"
    return work.path / "unfinished"


def test_a_shard_goes_on_behind_its_last_piece_and_ends_the_same(store: Store, path: Path) -> None:
    stop_within_a_shard(store, path, 6)
    listener = Listener()
    done = run(store, path, ONE_SHARD, listener)
    assert (done.encoded, done.found, done.resumed_at) == (14, 6, 0)
    assert "going on from shard 0: 6 documents were encoded before" in listener.messages
    assert (listener.done, listener.total) == (14, 14), "what was there is no part of the rate"
    assert done.rate is not None
    assert done.rate > 14 / done.seconds
    went_on = files(store, done)
    store.remove(done.embeddings)
    whole = run(store, path, ONE_SHARD)
    assert (whole.found, whole.resumed_at) == (0, None)
    assert files(store, whole) == went_on


def test_a_damaged_piece_is_computed_again(store: Store, path: Path) -> None:
    kept = sorted(stop_within_a_shard(store, path, 6).glob("piece-*"))
    assert len(kept) == 3
    content = bytearray(kept[0].read_bytes())
    content[len(content) // 3] ^= 255
    kept[0].write_bytes(content)
    done = run(store, path, ONE_SHARD)
    assert (done.encoded, done.found) == (16, 4)
    went_on = files(store, done)
    store.remove(done.embeddings)
    assert files(store, run(store, path, ONE_SHARD)) == went_on


def test_pieces_of_other_documents_are_not_used(store: Store, path: Path) -> None:
    """They are of a file that was edited while it was read, and then restored."""
    good, small = path.read_bytes(), replace(OPTIONS, batch_size=2)
    with pytest.raises(Stopped):
        run(store, path, small, Listener(lambda: write(path, "bread"), stop_after=4))
    (work,) = store.unfinished("embeddings")
    assert len(list((work.path / "unfinished").glob("piece-*"))) == 2
    path.write_bytes(good)
    done = run(store, path, small)
    assert (done.encoded, done.found) == (20, 0)
    went_on = files(store, done)
    store.remove(done.embeddings)
    assert files(store, run(store, path, small)) == went_on


def test_pieces_serve_another_batch_size(store: Store, path: Path) -> None:
    stop_within_a_shard(store, path, 6)
    done = run(store, path, replace(ONE_SHARD, batch_size=7))
    assert (done.encoded, done.found) == (14, 6)
    again = run(store, write(path.with_name("b.jsonl"), "river"), replace(ONE_SHARD, max_length=31))
    vectors = [store.embeddings(one.embeddings).vectors(range(20)) for one in (done, again)]
    np.testing.assert_allclose(*vectors, atol=1e-3)


def test_parts_of_another_division_make_the_same_set(store: Store, path: Path) -> None:
    whole = run(store, path)
    expected = files(store, whole)
    store.remove(whole.embeddings)
    assert run(store, path, replace(OPTIONS, part=(1, 2))).missing_shards == [1]
    again = run(store, path, replace(OPTIONS, part=(1, 3)))
    assert (again.encoded, again.missing_shards) == (0, [1])
    last = run(store, path, replace(OPTIONS, part=(2, 3)))
    assert (last.finished, last.embeddings) == (True, whole.embeddings)
    assert files(store, last) == expected


def test_texts_that_are_cut_are_counted_and_kept_in_the_manifest(store: Store, path: Path) -> None:
    texts = {"a": "river " * 7, "b": "river " * 6, "c": "moon", "d": "bread " * 100}
    path.write_text(
        "".join(f'{{"id": "{name}", "text": "{text}"}}\n' for name, text in texts.items()),
        encoding="utf-8",
    )
    options = replace(OPTIONS, max_length=8, shard_rows=3)  # two of them are special tokens
    with pytest.raises(Stopped):
        run(store, path, options, Listener(stop_at=1))
    done = run(store, path, options)
    assert (done.encoded, done.max_length, done.n_cut) == (1, 8, 2)
    assert store.get(done.embeddings).stats["n_cut"] == 2
    assert run(store, path, options).n_cut == 2
    assert run(store, path, replace(options, max_length=7)).n_cut == 3
    part = run(store, path, replace(options, max_length=9, part=(2, 2)))
    assert (part.finished, part.n_cut) == (False, 1)


def test_the_time_of_a_window_does_not_count_documents_of_others(store: Store, path: Path) -> None:
    listener = Listener()
    part = encode(store, open_corpus(path), HYPER, replace(OPTIONS, part=(2, 2)), listener)
    assert (listener.done, listener.total, part.encoded) == (8, 8, 8)
