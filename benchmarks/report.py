"""`hype report` over a thousand runs: the first call after the catalog is gone, and the next ones.

    python benchmarks/report.py              # what docs/benchmarks.md quotes; 600 MB of disk
    python benchmarks/report.py --quick      # a minute, to see that it runs

The store holds runs with an evaluation each, of 7,000 queries and 8 measures: 56 million values.
The command is the real one, a process of its own each time. The other side is what a plain script
does without a catalog: it reads the Parquet file of every evaluation for its means.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import check, clock, folder_of, measure, options_of, spread

import hypestore
from hypencli.evaluation.measures import DEFAULT_MEASURES

SQL = "SELECT count(*), avg(value) FROM per_query_metrics WHERE measure = 'nDCG@10'"


def prepare(folder: Path, *, runs: int, queries: int) -> None:
    """Runs and evaluations as the store writes them, of random values; no catalog yet."""
    store = hypestore.Store.create(folder / "store")
    ids = [f"q{number}" for number in range(queries)]
    pairs = {
        "query_id": pa.array(np.repeat(ids, len(DEFAULT_MEASURES)).tolist()),
        "measure": pa.array(list(DEFAULT_MEASURES) * queries),
    }
    generator = np.random.default_rng(0)
    # The catalog follows every commit; here it is made once, at the first question.
    hypestore.Catalog.sync = lambda *_, **__: False  # type: ignore[method-assign]
    for number in range(runs):
        write_one(store, number, pairs, generator)


def write_one(
    store: hypestore.Store,
    number: int,
    pairs: dict[str, pa.Array],
    generator: np.random.Generator,
) -> None:
    """A run of one result, and its evaluation, whose files are those of ``write_evaluation``."""
    inputs = {"engine": "exact", "corpus": "corpus", "queries": "topics", "k": 1000, "at": number}
    with store.run_writer("run", inputs, name=f"run-{number}") as writer:
        writer.queries([("q0", "a question")])
        writer.append(["q0"], ["d0"], [1], [1.0])
        run = writer.commit(stats={"seconds": {"total": 1.0}})
    count = len(pairs["measure"]) // len(DEFAULT_MEASURES)
    values = generator.integers(0, 1000, (count, len(DEFAULT_MEASURES))) / 1000
    created = {"run": run.id, "qrels": "qrels", "measures": sorted(DEFAULT_MEASURES)}
    with store.draft("evaluation", "eval-qrels", created, parents=(run.id,)) as draft:
        per_query = pa.table({**pairs, "value": values.reshape(-1)})
        pq.write_table(per_query, draft.path / "per_query.parquet", compression="zstd")
        means = {"measure": list(DEFAULT_MEASURES), "value": values.mean(axis=0)}
        pq.write_table(pa.table(means), draft.path / "metrics.parquet")
        draft.commit(stats={"judged_queries": count})


def report(folder: Path, *arguments: str) -> dict[str, float]:
    """Seconds of one call of the command, interpreter included."""
    command = [sys.executable, "-m", "hypencli", "report", "--store", str(folder / "store")]
    started = time.perf_counter()
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    check(bool(done.stdout))
    return {"seconds": time.perf_counter() - started}


def read_all(folder: Path) -> None:
    """What a script without a catalog reads for the same table."""
    with clock():
        means = {}
        for path in (folder / "store" / "evaluations").glob("*/per_query.parquet"):
            table = pq.read_table(path).group_by("measure").aggregate([("value", "mean")])
            means[path.parent.name] = dict(
                zip(table["measure"].to_pylist(), table["value_mean"].to_pylist(), strict=True)
            )
        check(len(means) > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=7000)
    options = options_of(parser, {"plain": read_all}, repeat=3, quick={"runs": 20, "queries": 500})
    created = partial(prepare, runs=options.runs, queries=options.queries)
    with folder_of(options, created) as folder:
        compare(folder, options.repeat)


def compare(folder: Path, repeat: int) -> None:
    """The command and the plain script in turn, then the command without a catalog, and SQL."""
    actual: dict[str, list[dict[str, float]]] = {"report": [], "plain": [], "first": [], "sql": []}
    catalog = folder / "store" / "catalog.duckdb"
    for _ in range(repeat):
        catalog.unlink(missing_ok=True)
        actual["first"].append(report(folder))
        actual["report"].append(report(folder))
        actual["plain"].append(measure(__file__, "plain", folder))
        actual["sql"].append(report(folder, "--sql", SQL))
    for job, runs in actual.items():
        seconds = [run["seconds"] for run in runs]
        print(json.dumps({"job": job, **spread(seconds), "catalog_mb": size_mb(catalog)}))


def size_mb(path: Path) -> float:
    return path.stat().st_size / 1e6


if __name__ == "__main__":
    main()
