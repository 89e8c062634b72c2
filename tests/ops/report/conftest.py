"""A store with documents, and runs of which each test chooses the ranks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate

QUERIES = {f"q{i}": f"question {i}" for i in range(6)}
QRELS = {query: {f"d{i}": 2, f"d{i + 6}": 1, "d30": 0} for i, query in enumerate(QUERIES)}
MEASURES = ("nDCG@10", "RR")
Put = Callable[..., hs.Manifest]


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


@pytest.fixture
def qrels(tmp_path: Path) -> Path:
    path = tmp_path / "qrels.txt"
    lines = (f"{q} 0 {d} {grade}\n" for q, judged in QRELS.items() for d, grade in judged.items())
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def embeddings(store: hs.Store) -> hs.Manifest:
    """40 documents with their text, of a model with a recipe and curves."""
    created = {"hype": "1", "packages": {"torch": "2"}, "cpus": 2, "device": "cpu"}
    inputs = {"architecture": "hypencoder", "recipe": "tiny", "seed": 3}
    with store.draft("model", "nets", inputs, name="nets") as draft:
        (draft.path / "recipe.toml").write_text("steps = 9\n", encoding="utf-8")
        write_curves(draft.path / "training.parquet", {"loss": [0.5, 0.25], "epoch": [1, 2]})
        model = draft.commit(stats={"steps": 9}, provenance=created)
    spec = hs.EmbeddingSpec(
        id_prefix="docs",
        inputs={"corpus": "docs"},
        parents=(model.id,),
        dim=4,
        dtype="float16",
        shard_rows=16,
        keep_text=True,
    )
    ids = [f"d{i}" for i in range(40)]
    with store.embedding_work(spec) as work:
        for shard in range(3):
            some = ids[16 * shard : 16 * shard + 16]
            vectors = np.ones((len(some), 4), np.float32)
            work.write_shard(shard, some, vectors, [f"text of {one}" for one in some])
        return work.finish(40, provenance=created)


def write_curves(path: Path, curves: dict[str, list[float]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    points = [(name, *point) for name, values in curves.items() for point in enumerate(values, 1)]
    name, step, value = zip(*points, strict=True)
    values = pa.array(value, pa.float64())
    pq.write_table(pa.table({"step": step, "name": name, "value": values}), path)


@pytest.fixture
def put(store: hs.Store, embeddings: hs.Manifest, qrels: Path) -> Put:
    """Writes a run and measures it: the relevant document of each query at a rank, if above 20."""

    def write(name: str, ranks: list[int], *, measured: bool = True, **inputs: Any) -> hs.Manifest:
        told = {"engine": "exact", "model": embeddings.parents[0], "embeddings": embeddings.id}
        told |= {"corpus": "docs", "queries": "topics", "k": 20, "name": name, **inputs}
        parents = [embeddings.parents[0], embeddings.id]
        with store.run_writer("run", told, parents=parents, name=name) as writer:
            writer.queries(list(QUERIES.items()))
            for (query, judged), rank in zip(QRELS.items(), ranks, strict=True):
                actual = ranking(query, next(iter(judged)), rank)
                scores = [-float(place) for place in range(20)]
                writer.append([query] * 20, actual, list(range(1, 21)), scores)
            run = writer.commit(stats={"n_queries": 6, "seconds": {"scoring": 1.0, "total": 1.5}})
        if measured:
            evaluate(store, run.id, EvaluateOptions(str(qrels), MEASURES))
        return run

    return write


def ranking(query: str, relevant: str, rank: int) -> list[str]:
    """20 documents of which ``relevant`` is at ``rank``; the others are not judged relevant."""
    judged = QRELS[query]
    others = (f"d{i}" for i in range(39, -1, -1) if judged.get(f"d{i}", 0) == 0)
    actual = list(itertools.islice(others, 20))
    if rank <= 20:
        actual[rank - 1] = relevant
    return actual
