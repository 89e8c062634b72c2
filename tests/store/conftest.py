"""Stores to test with: an empty one, and one with an artifact of every kind."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import hypestore as hs

DIM = 8


def some_vectors(n: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Vectors [n, d] that float16 holds exactly."""
    return np.random.default_rng(seed).integers(-64, 64, (n, dim)).astype(np.float32) / 16


@pytest.fixture(scope="session")
def vectors() -> Callable[..., np.ndarray]:
    return some_vectors


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users of the machine reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., hs.Manifest]:
    def make(store: hs.Store, name: str | None = "tiny", **inputs: object) -> hs.Manifest:
        settings = {"recipe": "tiny", "architecture": "hypencoder", **inputs}
        with store.draft("model", "tiny", settings, name=name) as draft:
            if draft.existing is None:
                (draft.path / "config.json").write_text("{}\n")
            return draft.commit(stats={"parameters": 12}, provenance={"seed": 1})

    return make


@pytest.fixture(scope="session")
def make_embeddings() -> Callable[..., hs.Manifest]:
    """Makes a set of n documents d0, d1, … with the text "text of d0" and so on."""

    def make(
        store: hs.Store,
        n: int = 10,
        *,
        shard_rows: int = 4,
        dtype: str = "float16",
        keep_text: bool = True,
        parents: tuple[str, ...] = (),
        seed: int = 0,
        **inputs: object,
    ) -> hs.Manifest:
        spec = hs.EmbeddingSpec(
            id_prefix="corpus",
            inputs={"corpus": "corpus", "n": n, "seed": seed, **inputs},
            parents=parents,
            dim=DIM,
            dtype=dtype,
            shard_rows=shard_rows,
            keep_text=keep_text,
        )
        values = some_vectors(n, seed=seed)
        with store.embedding_work(spec) as work:
            for shard in range(-(-n // shard_rows)):
                rows = range(shard * shard_rows, min(n, (shard + 1) * shard_rows))
                ids = [f"d{row}" for row in rows]
                texts = [f"text of {doc_id}" for doc_id in ids] if keep_text else None
                if not work.existing:
                    work.write_shard(shard, ids, values[rows.start : rows.stop], texts)
            return work.finish(n)

    return make


@pytest.fixture(scope="session")
def make_run() -> Callable[..., hs.Manifest]:
    """Makes a run of q1 (two results), q2 (one) and q3 (none)."""

    def make(
        store: hs.Store, name: str | None = None, *, parents: tuple[str, ...] = (), **inputs: object
    ) -> hs.Manifest:
        settings = {"engine": "exact", "corpus": "corpus", "queries": "topics", "k": 2, **inputs}
        with store.run_writer("run", settings, parents=parents, name=name) as writer:
            if writer.existing is None:
                writer.queries([("q1", "one"), ("q2", "two"), ("q3", "three")])
                writer.append(["q1", "q1", "q2"], ["d1", "d2", "d1"], [1, 2, 1], [2.0, 1.0, 0.5])
            return writer.commit(stats={"seconds": {"scoring": 1.0, "total": 2.5}})

    return make


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., hs.Manifest]:
    def make(
        store: hs.Store, run: str, value: float = 0.5, qrels: str = "qrels", **inputs: object
    ) -> hs.Manifest:
        return store.write_evaluation(
            run,
            qrels_id=qrels,
            inputs=inputs,
            per_query=[("q1", "nDCG@10", value), ("q2", "nDCG@10", 0.0), ("q1", "RR", 1.0)],
            aggregates={"nDCG@10": value / 2, "RR": 0.5},
            stats={"judged_queries": 2},
        )

    return make


@dataclass(frozen=True)
class Filled:
    """A store with one artifact of every kind but a graph."""

    store: hs.Store
    model: hs.Manifest
    embeddings: hs.Manifest
    run: hs.Manifest
    evaluation: hs.Manifest

    @property
    def root(self) -> Path:
        return self.store.root


@pytest.fixture(scope="session")
def fill(
    make_model: Callable[..., hs.Manifest],
    make_embeddings: Callable[..., hs.Manifest],
    make_run: Callable[..., hs.Manifest],
    evaluate: Callable[..., hs.Manifest],
) -> Callable[[hs.Store], Filled]:
    def fill_store(store: hs.Store) -> Filled:
        model = make_model(store)
        embeddings = make_embeddings(store, parents=(model.id,))
        run = make_run(
            store,
            "first",
            parents=(model.id, embeddings.id),
            model=model.id,
            embeddings=embeddings.id,
        )
        return Filled(store, model, embeddings, run, evaluate(store, run.id))

    return fill_store


@pytest.fixture
def filled(store: hs.Store, fill: Callable[[hs.Store], Filled]) -> Filled:
    return fill(store)


@pytest.fixture(scope="session")
def filled_once(
    tmp_path_factory: pytest.TempPathFactory, fill: Callable[[hs.Store], Filled]
) -> Filled:
    """As ``filled``, made once for all tests: not to be changed."""
    return fill(hs.Store.create(tmp_path_factory.mktemp("filled") / "store"))


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[int, str]]]:
    """Everything below a folder: path -> time of change and content hash."""

    def take(root: Path) -> dict[str, tuple[int, str]]:
        return {
            path.relative_to(root).as_posix(): (
                path.stat().st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder",
            )
            for path in sorted(root.rglob("*"))
        }

    return take


@pytest.fixture
def python() -> Callable[..., subprocess.Popen[str]]:
    """Starts another process with a piece of code; ``sys.argv[1:]`` are the arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
