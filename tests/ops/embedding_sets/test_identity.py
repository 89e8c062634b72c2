"""A set is identified by content, encoder and lengths, not by names and shards."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hypencli.data.corpus import open_corpus
from hypencli.ops.encode import plan
from hypestore import Store
from tests.ops.embedding_sets.conftest import HYPER, OPTIONS, run, write


def test_a_copy_under_another_name_is_already_there(store: Store, path: Path) -> None:
    first = run(store, path)
    copy = Path(shutil.copy(path, path.with_name("copy.jsonl")))
    packed = path.with_name("packed.jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    folder = path.with_name("collection")
    folder.mkdir()
    shutil.copy(path, folder / "corpus.jsonl")
    for other in (copy, packed, folder):
        again = run(store, other, replace(OPTIONS, shard_rows=5))
        assert (again.existing, again.embeddings) == (True, first.embeddings), other
        assert plan(store, open_corpus(other), HYPER, OPTIONS).finished


@pytest.mark.parametrize(
    "change",
    [{"max_length": 31}, {"storage_dtype": "float32"}, {"limit": 19}, {"keep_text": False}],
)
def test_what_changes_the_set_makes_another_one(
    store: Store, path: Path, change: dict[str, object]
) -> None:
    first = run(store, path)
    other = run(store, path, replace(OPTIONS, **change))  # type: ignore[arg-type]
    assert (other.existing, other.embeddings == first.embeddings) == (False, False)


def test_other_content_of_the_same_name_is_another_set(store: Store, path: Path) -> None:
    first = run(store, path)
    other = run(store, write(path, "bread"))
    assert (other.existing, other.embeddings == first.embeddings) == (False, False)


def test_work_that_was_begun_goes_on_under_another_name_and_division(
    store: Store, path: Path
) -> None:
    begun = run(store, path, replace(OPTIONS, part=(1, 2)))
    copy = Path(shutil.copy(path, path.with_name("copy.jsonl")))
    done = run(store, copy, replace(OPTIONS, shard_rows=1_000, part=(2, 2)))
    assert (done.finished, done.embeddings) == (True, begun.embeddings)
    assert store.get(done.embeddings).stat_int("shard_rows") == OPTIONS.shard_rows


def test_a_set_with_exactly_this_id_comes_first(store: Store, path: Path) -> None:
    """Stores of earlier versions may have one set of each name."""
    first = run(store, path)
    copy = Path(shutil.copy(path, path.with_name("copy.jsonl")))
    hidden = store.path(first.embeddings).rename(path.with_name("hidden"))
    second = run(store, copy)
    assert second.embeddings != first.embeddings
    hidden.rename(store.root / "embeddings" / first.embeddings)
    assert run(store, path).embeddings == first.embeddings
    assert run(store, copy).embeddings == second.embeddings
