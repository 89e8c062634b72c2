"""Encoding a file that is changed meanwhile: other documents are never stored under its content."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hypencli.data.reading.base import ContentChanged
from hypestore import IncompleteWork, Store
from tests.ops.embedding_sets.conftest import (
    OPTIONS,
    ROWS,
    Listener,
    Stopped,
    files,
    run,
    write,
)


def notes_sets(store: Store) -> list[str]:
    """Finished and unfinished sets of the corpus."""
    ids = [one.id for one in store.artifacts("embeddings")]
    return [one for one in [*ids, *(u.id for u in store.unfinished())] if one.startswith("notes")]


@pytest.mark.parametrize("limit", [None, 5])
def test_a_corpus_that_is_edited_while_it_is_read_is_refused(
    store: Store, path: Path, limit: int | None
) -> None:
    before = path.read_bytes()
    after = before.replace(b'"d19", "text": "river', b'"d19", "text": "bread')
    edited = Listener(partial(path.write_bytes, after))
    options = replace(OPTIONS, limit=limit)
    with pytest.raises(ContentChanged, match=r"notes\.jsonl was changed while it was read"):
        run(store, path, options, edited)
    assert notes_sets(store) == [], "nothing of it may be taken for the original"
    path.write_bytes(before)
    again = run(store, path, options)
    assert (again.existing, again.encoded) == (False, limit or 20)


def test_documents_that_go_away_while_it_is_read_are_noticed(store: Store, path: Path) -> None:
    shorter = Listener(partial(write, path, "river", 16))
    with pytest.raises(ContentChanged):
        run(store, path, progress=shorter)
    assert notes_sets(store) == []


@pytest.mark.parametrize("keep_text", [True, False])
def test_a_shard_of_an_edited_file_is_written_anew_when_the_command_goes_on(
    store: Store, path: Path, keep_text: bool
) -> None:
    """The command is killed before it can notice, and then the file is restored."""
    options = replace(OPTIONS, keep_text=keep_text)
    with pytest.raises(Stopped):
        run(store, path, options, Listener(partial(write, path, "bread"), stop_at=1))
    write(path, "river")
    done = run(store, path, options)
    assert (done.finished, done.encoded, done.found) == (True, 20, 0)
    went_on = files(store, done)
    store.remove(done.embeddings)
    assert files(store, run(store, path, options)) == went_on


@pytest.mark.parametrize("keep_text", [True, False])
def test_good_shards_are_kept_when_the_command_goes_on(
    store: Store, path: Path, keep_text: bool
) -> None:
    options = replace(OPTIONS, keep_text=keep_text)
    with pytest.raises(Stopped):
        run(store, path, options, Listener(stop_at=2))
    listener = Listener()
    done = run(store, path, options, listener)
    assert (done.encoded, done.found, done.resumed_at) == (4, 16, 2)
    assert "going on from shard 2: 16 documents were encoded before" in listener.messages
    went_on = files(store, done)
    store.remove(done.embeddings)
    assert files(store, run(store, path, options)) == went_on


def test_a_part_does_not_seal_what_another_made_of_an_edited_file(store: Store, path: Path) -> None:
    """Shard 0 is of the edited file: part 1 was killed before it could notice."""
    write(path, "river", 40)
    first = replace(OPTIONS, part=(1, 2))
    with pytest.raises(Stopped):
        run(store, path, first, Listener(partial(write, path, "bread", 40), stop_at=2))
    write(path, "river", 40)
    assert run(store, path, replace(OPTIONS, part=(2, 2))).missing_shards == [2, 4]
    assert run(store, path, replace(OPTIONS, part=(3, 3))).missing_shards == [4]
    with pytest.raises(IncompleteWork, match=r"Shard 0 .* was made of other documents"):
        run(store, path, replace(OPTIONS, part=(2, 3)))
    done = run(store, path, first)
    assert (done.finished, done.encoded) == (True, ROWS)
    together = files(store, done)
    store.remove(done.embeddings)
    assert files(store, run(store, path)) == together


def test_a_file_that_is_changed_between_two_parts_is_said(store: Store, path: Path) -> None:
    first, second = (replace(OPTIONS, part=(i, 2)) for i in (1, 2))
    begun = run(store, path, first)
    write(path, "bread")
    listener = Listener()
    other = run(store, path, second, listener)
    assert other.embeddings != begun.embeddings
    assert (begun.missing_shards, other.missing_shards) == ([1], [0, 2])
    assert any(begun.embeddings in one and "was changed" in one for one in listener.messages)
