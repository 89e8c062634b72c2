"""Invariant 2: ``kill -9`` at any moment leaves the state before readable, the work resumable."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

WRITER = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    import hypestore as hs

    root, allowed, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    events = 0

    def count():
        # One event before and one after each flush, rename and removal: the moments between them
        # are the ones at which a kill can leave a different state.
        global events
        if events == allowed:
            os.kill(os.getpid(), signal.SIGKILL)
        events += 1

    def watched(function):
        def call(*args, **kwargs):
            count()
            result = function(*args, **kwargs)
            count()
            return result
        return call

    os.fsync = watched(os.fsync)
    Path.replace = watched(Path.replace)
    Path.unlink = watched(Path.unlink)

    store = hs.Store.open(root)
    catalog_sync = hs.Catalog.sync
    values = np.arange(14 * 3, dtype=np.float32).reshape(14, 3)

    def embeddings():
        spec = hs.EmbeddingSpec(id_prefix="c", inputs={"c": 1}, dim=3, shard_rows=4)
        with store.embedding_work(spec) as work:
            for shard in work.missing(4):
                rows = range(shard * 4, min(14, shard * 4 + 4))
                ids = [f"d{row}" for row in rows]
                work.write_shard(shard, ids, values[rows.start:rows.stop], [f"t {i}" for i in ids])
                print("shard", shard, flush=True)
            work.finish(14)

    def run():
        with store.run_writer("r", {"r": 1}) as writer:
            writer.queries([("q1", "one"), ("q2", "two")])
            writer.append(["q1", "q1"], ["a", "b"], [1, 2], [2.0, 1.0])
            writer.commit()

    def removal():
        store.remove("first", force=True)

    {"embeddings": embeddings, "run": run, "removal": removal}[wanted]()
    print("events", events, flush=True)
"""

Start = Callable[..., Any]


def write(python: Start, store: hs.Store, allowed: int, what: str) -> tuple[bool, list[str]]:
    """Run the writer until it is done or killed; whether it was done, and what it acknowledged."""
    process = python(WRITER, store.root, allowed, what)
    output, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode == 0, output.splitlines()


def hashes(store: hs.Store, reference: str) -> dict[str, str]:
    return {file.path: file.sha256 for file in store.get(reference).files}


@dataclass(frozen=True)
class Calm:
    """The same work without a kill: how many moments it has, and what comes out."""

    events: int
    hashes: dict[str, str]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    store = hs.Store.create(tmp_path_factory.mktemp("calm") / "store")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(store.root), "-1", "embeddings"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Calm(int(done.stdout.split()[-1]), hashes(store, "c-"))


@pytest.fixture
def untouched(filled: Any, snapshot: Callable[[Path], object]) -> Iterator[Callable[[], None]]:
    """A check that the artifacts that were there before are there, bit for bit."""
    folders = [filled.store.path(manifest) for manifest in filled.store.artifacts()]
    before = [snapshot(folder) for folder in folders]

    def check() -> None:
        assert [snapshot(folder) for folder in folders] == before
        assert not any(
            finding.severity == "error"
            for finding in hs.Store.open(filled.root).doctor(checksums=True).findings
        )

    return check


def test_killed_again_and_again_the_shards_are_the_same_in_the_end(
    filled: Any, calm: Calm, python: Start, untouched: Callable[[], None]
) -> None:
    acknowledged: set[int] = set()
    for round_ in range(40):
        done, output = write(python, filled.store, 9 + 6 * round_, "embeddings")
        acknowledged |= {int(line.split()[1]) for line in output if line.startswith("shard")}
        untouched()
        spec = hs.EmbeddingSpec(id_prefix="c", inputs={"c": 1}, dim=3, shard_rows=4)
        assert filled.store.shards_done(spec) >= len(acknowledged)
        assert filled.store.has(spec.id) or not done
        if done:
            break
    assert round_ >= 3, "the kills came too late to test anything"
    assert done
    assert acknowledged == {0, 1, 2, 3}
    assert hashes(filled.store, spec.id) == calm.hashes
    assert filled.store.embeddings(spec.id).ids(range(14)) == [f"d{i}" for i in range(14)]
    assert filled.store.doctor(checksums=True, clean=True).healthy


@pytest.mark.parametrize("after_last", [1, 3, 5, 7, 9, 14, 30])
def test_killed_around_the_manifest_it_is_there_or_it_is_not(
    store: hs.Store, calm: Calm, python: Start, after_last: int
) -> None:
    done, _ = write(python, store, calm.events - after_last, "embeddings")
    assert not done
    reopened = hs.Store.open(store.root)
    if reopened.artifacts():
        assert hashes(reopened, "c-") == calm.hashes
    assert reopened.doctor(checksums=True).healthy
    assert write(python, store, -1, "embeddings")[0]
    assert hashes(reopened, "c-") == calm.hashes
    assert reopened.catalog.query("SELECT count(*) FROM artifacts").rows == ((1,),)


@pytest.mark.parametrize("allowed", [0, 5, 10, 13, 16])
def test_a_killed_run_is_made_anew(
    filled: Any, python: Start, untouched: Callable[[], None], allowed: int
) -> None:
    done, _ = write(python, filled.store, allowed, "run")
    assert not done
    untouched()
    if not filled.store.has(hs.artifact_id("run", "r", {"r": 1})):
        assert len(filled.store.catalog.query("FROM runs").rows) == 1
    assert write(python, filled.store, -1, "run")[0]
    run = filled.store.run(hs.artifact_id("run", "r", {"r": 1}))
    assert run.results() == {"q1": [("a", 2.0), ("b", 1.0)], "q2": []}
    assert len(filled.store.catalog.query("FROM runs").rows) == 2


@pytest.mark.parametrize("allowed", [0, 1, 2, 4, 6])
def test_a_killed_removal_leaves_whole_artifacts(filled: Any, python: Start, allowed: int) -> None:
    write(python, filled.store, allowed, "removal")
    left = filled.store.artifacts()
    assert left[:2] == [filled.model, filled.embeddings]
    assert left[2:] in ([filled.run, filled.evaluation], [filled.run], [])
    report = filled.store.doctor(checksums=True, clean=True)
    assert report.healthy
    assert not list(filled.root.glob("*/.removed-*"))
    count = filled.store.catalog.query("SELECT count(*) FROM artifacts").rows
    assert count == ((len(left),),)
