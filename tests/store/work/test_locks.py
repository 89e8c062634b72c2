"""Locks on file systems that give none: reading works, writing is refused with the remedy."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypestore.work.locks import hold, is_held

REFUSALS = ["ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS"]


@pytest.fixture(params=REFUSALS)
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every flock is refused, as by NFS without its lock service or Lustre without ``flock``."""
    number = getattr(errno, request.param)

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    return os.strerror(number)


def test_reading_needs_no_lock(filled: Any, refused: str) -> None:
    store = hs.Store.open(filled.root)
    assert len(store.artifacts()) == 4
    assert store.run("first").results()["q1"] == [("d1", 2.0), ("d2", 1.0)]
    assert store.embeddings(filled.embeddings.id).ids([0]) == ["d0"]
    assert len(store.catalog.query("FROM leaderboard").rows) == 2
    store.catalog.path.unlink()
    assert len(store.catalog.query("FROM leaderboard").rows) == 2
    assert store.doctor(checksums=True).healthy


def test_what_is_finished_is_found_again_without_a_lock(
    filled: Any, refused: str, make_run: Callable[..., hs.Manifest], evaluate: Callable[..., Any]
) -> None:
    found = make_run(
        filled.store,
        "first",
        parents=filled.run.parents,
        model=filled.model.id,
        embeddings=filled.embeddings.id,
    )
    assert found == filled.run
    assert evaluate(filled.store, "first") == filled.evaluation


def test_a_cache_is_used_without_a_lock(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path) -> None:
        (folder / "a").write_text("a")

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    maker = hs.Store.open(filled.root)
    made = maker.cached("letters-1", make)
    maker._caches.release("letters-1")
    monkeypatch.setattr(fcntl, "flock", flock)
    other = hs.Store.open(filled.root)
    assert other.cached("letters-1", make) == made
    with pytest.raises(hs.StoreNotWritable, match="gives no locks"):
        other.cached("letters-2", make)


def test_writing_is_refused_at_once_with_the_remedy(filled: Any, refused: str) -> None:
    store = filled.store
    writes: list[Callable[[], object]] = [
        lambda: store.set_default("model", "x"),
        lambda: store.remove("first", force=True),
        lambda: store.draft("model", "m", {}).__enter__(),
        lambda: store.catalog.rebuild(),
        lambda: store.staging().__enter__(),
    ]
    for write in writes:
        with pytest.raises(hs.StoreNotWritable, match="gives no locks") as caught:
            write()
        assert refused in caught.value.message
        assert "Reading works" in str(caught.value.hint)
        assert "flock" in str(caught.value.hint)
    assert len(hs.Store.open(filled.root).artifacts()) == 4


@pytest.mark.usefixtures("refused")
def test_work_is_listed_by_its_note(store: hs.Store, tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    note = tmp_path / "a.lock.holder"
    assert not is_held(lock)
    lock.touch()
    assert not is_held(lock)
    for pid, host, expected in [
        (os.getpid(), socket.gethostname(), True),
        (2**22 + 1, socket.gethostname(), False),  # above every number of a process
        (2**22 + 1, "another-host", True),
        (10**30, socket.gethostname(), True),
    ]:
        note.write_text(json.dumps({"pid": pid, "host": host, "since": "today"}))
        assert is_held(lock) is expected, (pid, host)
    note.write_text("{")
    assert is_held(lock)


def test_a_lock_that_is_held_is_still_waited_for(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "a.lock", what="It"),
        pytest.raises(hs.ArtifactBusy, match=f"process {os.getpid()}"),
        hold(tmp_path / "a.lock", what="It"),
    ):
        pytest.fail("held twice")
    assert not is_held(tmp_path / "a.lock")
