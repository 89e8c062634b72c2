"""What `--approx` costs with an index, as the corpus grows, beside a bi-encoder over Faiss HNSW.

    python benchmarks/approx_index.py --store S --embeddings E --scaled FOLDER \
        --documents 250000 500000 1000000 --kind ivf --family near-linear six-layer

The corpora are the vectors of a store and near-copies of them (``approx_scaled.py``). Both sides
search the same vectors, a query at a time: `guided` with an index and without, to a recall and by
gain, and query vectors, which are documents with noise, over `faiss-hnsw` with the least of a few
`ef_search` that has a recall of .97. One JSON line a side, depth and size: recall, bound,
evaluations, milliseconds and processor milliseconds a query (medians), and the memory of the
process that is not of mapped files. ``--without-hnsw`` leaves that side, whose index takes long to
build, out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from approx_scaled import enlarged
from approx_study import score_table
from measuring import say_machine
from simulated_nets import FAMILIES

from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.results import SearchResult
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.engine.vector_index.engine import IndexEngine
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.ops.search.vector_index import make_index, open_existing, open_index
from hypestore import EmbeddingSet, Store

DEPTHS = (100, 1_000)
EF_SEARCH = (128, 256, 512, 1_024, 2_048)
HNSW = {"M": 16, "ef_construction": 60}
NOISE = 0.3
LEAST = 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--embeddings", required=True)
    parser.add_argument("--scaled", type=Path, required=True)
    parser.add_argument("--documents", type=int, nargs="+", default=[250_000])
    parser.add_argument("--kind", default="ivf")
    parser.add_argument("--family", nargs="+", default=["near-linear"], choices=list(FAMILIES))
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--depth", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--with-passes", action="store_true", help="also without an index")
    parser.add_argument("--without-hnsw", action="store_true")
    options = parser.parse_args()
    say_machine()
    torch.set_num_threads(options.threads)
    base = Store.open(options.store).embeddings(options.embeddings)
    for n in options.documents:
        store, corpus = enlarged(base, options.scaled, n)
        measure(store, corpus, options)


def measure(store: Store, corpus: EmbeddingSet, options: argparse.Namespace) -> None:
    """Print the figures of one corpus."""
    made = make_index(store, corpus, options.kind, {})
    about = {"documents": corpus.n, "load": round(os.getloadavg()[0], 1)}
    seconds = made.build_seconds and round(made.build_seconds, 1)
    print(json.dumps({**about, "kind": made.kind, "recall": made.recall, "built_s": seconds}))
    index = open_existing(store, made.cache)
    some = corpus.vectors(np.sort(np.random.default_rng(0).choice(corpus.n, 5_000)))
    for family in options.family:
        nets = FAMILIES[family](some.astype(np.float32), options.queries, 0)
        scorer = QNetScorer(nets, corpus.dim)
        sides: dict[str, GuidedEngine] = {
            "recall": GuidedEngine(corpus, GuidedOptions(recall=options.recall), index=index),
            "gain": GuidedEngine(corpus, index=index),
        }
        if options.with_passes:
            by_pass = GuidedOptions(recall=options.recall)
            sides |= {"recall, passes": GuidedEngine(corpus, by_pass)}
            sides |= {"gain, passes": GuidedEngine(corpus)}
        timed = [
            (f"{family}: {side}", k, list(one_by_one(engine, scorer, k)))
            for side, engine in sides.items()
            for k in options.depth
        ]
        memory = {"private_mb": private_mb()}
        best = {k: [] for k in options.depth}
        for row in score_table(scorer, corpus):
            for k in options.depth:
                best[k].append(float(np.partition(row, len(row) - k)[-k]))
        for side, k, done in timed:
            print(
                json.dumps({"side": side, "k": k, **figures(done, best[k], k), **about, **memory})
            )
    if not options.without_hnsw:
        hnsw(store, corpus, options, about)


Done = tuple[SearchResult, float, float]
"""Result of one query, its milliseconds, and its processor milliseconds."""


def one_by_one(engine: GuidedEngine | IndexEngine, scorer: Scorer, k: int) -> Iterator[Done]:
    """Search each query on its own; the first is searched twice, so that files are mapped."""
    for query in [0, *range(scorer.n_queries)]:
        one = scorer.select([query])
        started, used = time.perf_counter(), time.process_time()
        result = engine.search(one, k=k)
        ms = (time.perf_counter() - started) * 1e3, (time.process_time() - used) * 1e3
        if query or scorer.n_queries == 1:
            yield (result, *ms)
        else:
            first = (result, *ms)
    yield first


def figures(done: Sequence[Done], best: Sequence[float], k: int) -> dict[str, object]:
    """Medians and means over the queries; the first query comes last."""
    recalls = []
    for (result, _, _), last in zip(done, [*best[1:], best[0]], strict=True):
        recalls.append(sum(score >= last - 1e-6 for _, score in result.rankings[0]) / k)
    bounds = [r.recall_bounds[0] for r, _, _ in done if r.recall_bounds is not None]
    evaluations = [int(result.evaluations[0]) for result, _, _ in done]
    return {
        "recall": round(statistics.mean(recalls), 4),
        "recall_min": round(min(recalls), 4),
        "bound_min": round(float(min(bounds)), 4) if bounds else None,
        "evaluations": round(statistics.median(evaluations)),
        "ms": round(statistics.median(ms for _, ms, _ in done), 1),
        "cpu_ms": round(statistics.median(ms for _, _, ms in done), 1),
    }


def hnsw(
    store: Store, corpus: EmbeddingSet, options: argparse.Namespace, about: dict[str, object]
) -> None:
    """Time query vectors over a graph, at the least effort with the recall."""
    drawn = np.random.default_rng(1)
    places = np.sort(drawn.choice(corpus.n, options.queries, replace=False))
    vectors = corpus.vectors(places).astype(np.float32)
    vectors += NOISE * drawn.standard_normal(vectors.shape).astype(np.float32) / corpus.dim**0.5
    scorer = InnerProductScorer(torch.from_numpy(vectors))
    best = {k: [] for k in options.depth}
    for row in score_table(scorer, corpus):
        for k in options.depth:
            best[k].append(float(np.partition(row, len(row) - k)[-k]))
    for k in options.depth:
        for ef_search in EF_SEARCH:
            spec = IndexSpec("faiss-hnsw", {**HNSW, "ef_search": ef_search})
            engine = IndexEngine(corpus, open_index(store, corpus, spec).index)
            told = figures(list(one_by_one(engine, scorer, k)), best[k], k)
            if float(str(told["recall"])) >= LEAST:
                break
        side = f"bi-encoder, faiss-hnsw, ef_search={max(ef_search, k)}"
        print(json.dumps({"side": side, "k": k, **told, **about}), flush=True)


def private_mb() -> float:
    """Memory of this process that no file backs, in MB; 0 where the system does not say."""
    rollup = Path("/proc/self/smaps_rollup")
    lines = rollup.read_text().splitlines() if rollup.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1_000


if __name__ == "__main__":
    main()
