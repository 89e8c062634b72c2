"""A real exact build, killed or interrupted, goes on and ends byte-equal to one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore
from hypestore import Store

N, DIM, K = 6000, 8, 12

# The command itself, with small blocks and a saving after every few, so that there is time to kill.
COMMAND = """
import sys
from functools import partial
import hypencli.engine.neighbours.similarity as similarity
import hypencli.ops.graphs.exact as exact
from hypencli.__main__ import main
exact.SAVE_SECONDS = float(sys.argv[1])
similarity.Similarity = partial(similarity.Similarity, block_rows=64)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 1, (N, DIM)).astype(np.float32)


@pytest.fixture
def make_store(tmp_path: Path, vectors: np.ndarray) -> Any:
    def make(name: str) -> Store:
        store = Store.create(tmp_path / name)
        spec = hypestore.EmbeddingSpec(
            id_prefix="docs",
            inputs={"corpus": "file:docs"},
            dim=DIM,
            dtype="float32",
            keep_text=False,
        )
        with store.embedding_work(spec, name="docs") as work:
            work.write_shard(0, [f"d{i}" for i in range(N)], vectors, None)
            work.finish(N)
        return store

    return make


def command(store: Store, *more: str, save_seconds: float = 0.0) -> list[str]:
    arguments = ["graph", "docs", "--k", str(K), "--name", "near", "--store", str(store.root)]
    return [sys.executable, "-c", COMMAND, str(save_seconds), *arguments, *more]


def saved(store: Store) -> list[Path]:
    return list((store.root / "graphs").glob("*/unfinished/neighbours.npz"))


def pairs_done(store: Store) -> int:
    (path,) = saved(store)
    with np.load(path) as arrays:
        return int(np.unpackbits(arrays["done"]).sum())


def stop(store: Store, how: signal.Signals, *, after: int) -> tuple[int, str]:
    """Send a signal once so many pairs of blocks are saved; exit code and messages."""
    process = subprocess.Popen(
        command(store), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (saved(store) and pairs_done(store) >= after):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, messages = process.communicate(timeout=60)
    assert "Traceback" not in messages, messages
    return process.returncode, messages


def test_killed_and_gone_on_equals_uninterrupted(make_store: Any) -> None:
    whole, broken = make_store("whole"), make_store("broken")
    subprocess.run(command(whole, save_seconds=1e9), check=True, capture_output=True)
    assert not saved(whole)
    code, _ = stop(broken, signal.SIGKILL, after=200)
    assert code == -signal.SIGKILL
    assert broken.artifacts("graph") == []
    assert broken.doctor(checksums=True).healthy
    first = pairs_done(broken)
    assert 200 <= first < 94 * 95 // 2
    for how in (signal.SIGINT, signal.SIGTERM):
        before = pairs_done(broken)
        code, messages = stop(broken, how, after=before + 100)
        assert code == 128 + how
        assert f"resuming: {before:,} of 4,465 pairs of blocks" in messages
        assert "run the same command again" in messages
        assert pairs_done(broken) >= before + 100
    done = subprocess.run(
        command(broken, "--json"), check=True, capture_output=True, text=True, timeout=120
    )
    assert json.loads(done.stdout)["existing"] is False
    content = [
        (store.path(store.get("near")) / "neighbours.npy").read_bytes() for store in (whole, broken)
    ]
    assert content[0] == content[1]
    assert hypestore.Store.open(broken.root).doctor(checksums=True).findings == ()


def test_the_graph_of_the_command_is_exact(make_store: Any, vectors: np.ndarray) -> None:
    store = make_store("store")
    subprocess.run(command(store, save_seconds=1e9), check=True, capture_output=True)
    actual = store.graph("near").neighbours
    assert actual.shape == (N, K)
    for row in range(0, N, 500):
        distances = np.square(vectors.astype(np.float64) - vectors[row]).sum(axis=1)
        distances[row] = np.inf
        assert set(actual[row].tolist()) == set(np.argsort(distances)[:K].tolist())
