"""A process that may open no more files is told so: nothing is called damaged or made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs
from hypestore.errors import refuse_open_limit

resource = pytest.importorskip("resource", reason="needs POSIX limits")
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let this process open so many more files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    limit, free = 0, 0
    while free < more or limit <= 2:
        free += limit not in taken
        limit += 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def is_limit(error: Exception) -> bool:
    """Whether an error says that no more files may be opened."""
    return isinstance(error, hs.TooManyOpenFiles) or "Too many open files" in str(error)


Reading = Callable[[hs.Store], object]
READINGS: dict[str, Reading] = {
    "artifacts": lambda s: len(s.artifacts()),
    "get": lambda s: s.get("first").id,
    "results": lambda s: s.run("first").results(),
    "stream": lambda s: list(s.run("first").rankings()),
    "vectors": lambda s: s.embeddings(s.artifacts("embeddings")[0].id).vectors([0, 9]).tolist(),
    "ids": lambda s: s.embeddings(s.artifacts("embeddings")[0].id).ids([0, 9]),
    "texts": lambda s: s.embeddings(s.artifacts("embeddings")[0].id).texts([0, 9]),
    "aggregates": lambda s: s.aggregates(s.artifacts("evaluation")[0].id),
    "verified": lambda s: s.verified("tiny").name,
    "sql": lambda s: s.catalog.query("FROM leaderboard ORDER BY ALL").rows,
    "doctor": lambda s: [one.problem for one in s.doctor(checksums=True).findings],
    "unfinished": lambda s: [one.id for one in s.unfinished()],
}


@pytest.mark.parametrize("name", READINGS)
def test_reading_is_right_or_says_what_is_missing(
    filled: Any, name: str, snapshot: Callable[..., Any]
) -> None:
    with filled.store.draft("model", "half", {"seed": 3}):
        pass
    read = READINGS[name]
    expected = read(hs.Store.open(filled.root))
    before = {path: state for path, state in snapshot(filled.root).items() if "locks" not in path}
    told = 0
    for more in range(8):
        with at_most(more):
            try:
                actual = read(hs.Store.open(filled.root))
            except (hs.TooManyOpenFiles, OSError) as error:
                actual = error
        if isinstance(actual, Exception):
            assert is_limit(actual), (more, actual)
            told += 1
        else:
            assert actual == expected, more
    assert told
    after = {path: state for path, state in snapshot(filled.root).items() if "locks" not in path}
    assert {path: state[1] for path, state in after.items()} == {
        path: state[1] for path, state in before.items()
    }


def test_writing_says_what_is_missing_and_leaves_nothing(
    store: hs.Store, make_run: Callable[..., hs.Manifest], evaluate: Callable[..., hs.Manifest]
) -> None:
    made = make_run(store, "warm", k=1)
    evaluate(store, made.id)
    told: list[Exception] = []
    for more in range(12):
        with at_most(more):
            try:
                make_run(store, f"run{more}", k=more + 10)
                evaluate(store, f"run{more}")
            except (hs.TooManyOpenFiles, OSError) as error:
                told.append(error)
    assert told
    assert all(map(is_limit, told)), told
    assert store.unfinished() == []
    assert hs.Store.open(store.root).doctor(checksums=True, rebuild=True).findings == ()


def test_shards_are_not_written_again(filled: Any) -> None:
    spec = hs.EmbeddingSpec(id_prefix="c", inputs={}, dim=2, shard_rows=1, keep_text=False)
    with filled.store.embedding_work(spec) as work:
        work.write_shard(0, ["d0"], [[1.0, 2.0]])
    with (
        filled.store.embedding_work(spec) as work,
        at_most(0),
        pytest.raises(hs.TooManyOpenFiles) as caught,
    ):
        work.has_shard(0)
    assert "ulimit -n" in str(caught.value.hint)


def test_other_errors_pass() -> None:
    refuse_open_limit(OSError(5, "Input/output error"))
    refuse_open_limit(ValueError("a number"))
    for error in (
        OSError(23, "x"),
        OSError(24, "x"),
        RuntimeError("[errno 24] Too many open files"),
    ):
        with pytest.raises(hs.TooManyOpenFiles):
            refuse_open_limit(error)
