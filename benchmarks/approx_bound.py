"""How often the bound of ``guided -o recall=R`` on the recall holds, over simulated queries.

    python benchmarks/approx_bound.py                        # 600 queries a family and depth
    python benchmarks/approx_bound.py --queries 60 --family squared --depth 100
    python benchmarks/approx_bound.py --store S --embeddings E --width 64

The corpora are mixtures of clusters on the sphere whose parts fall off like those of an encoder, or
the vectors of a store, turned to their main directions and cut to a width. A query is a function of
one family (``simulated_nets.py``). One JSON line for a family and depth: how often the recall is at
least the bound and at least the target, the evaluations, and how many were searched exactly.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from approx_study import score_table
from simulated_nets import FAMILIES, Vectors, simulated_corpus

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.scorers import QNet, QNetScorer
from hypencli.engine.vector_index.index import LibraryIndex, build_index
from hypencli.engine.vector_index.sample import IndexSample
from hypencli.engine.vector_index.spec import MAPPED_KINDS, IndexSpec
from hypestore import Store

DEPTHS = (10, 100, 1_000)
CORPUS_QUERIES = 60
"""Queries over one simulated corpus; the next ones search another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--queries", type=int, default=600, help="of each family, at each depth")
    parser.add_argument("--family", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--depth", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--kind", choices=list(MAPPED_KINDS), help="search by an index, not passes")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--embeddings")
    options = parser.parse_args()
    for family in options.family:
        outcomes: dict[int, list[Outcome]] = {k: [] for k in options.depth}
        for seed in range(-(-options.queries // CORPUS_QUERIES)):
            count = min(CORPUS_QUERIES, options.queries - seed * CORPUS_QUERIES)
            vectors = corpus_of(options, seed)
            nets = FAMILIES[family](vectors, count, seed)
            index = None if options.kind is None else index_of(vectors, options.kind)
            for k, done in outcomes.items():
                settings = GuidedOptions(
                    recall=options.recall, confidence=options.confidence, seed=seed
                )
                done += measure(vectors, nets, settings, k, index)
        for k, done in outcomes.items():
            print(json.dumps({"family": family, "k": k, **summary(done, options)}), flush=True)


def corpus_of(options: argparse.Namespace, seed: int) -> Vectors:
    """The vectors ``[n, d]`` of a store, or simulated ones."""
    if options.store is None:
        return simulated_corpus(options.documents, options.width, seed)
    corpus = Store.open(options.store).embeddings(options.embeddings)
    vectors = np.concatenate([each for _, each in corpus.blocks()]).astype(np.float32)
    drawn = np.random.default_rng(seed).choice(len(vectors), min(len(vectors), options.documents))
    vectors = vectors[np.unique(drawn)]
    if options.width < vectors.shape[1]:
        _, _, turn = np.linalg.svd(vectors[:5_000] - vectors.mean(axis=0), full_matrices=False)
        vectors = vectors @ turn[: options.width].T
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def index_of(vectors: Vectors, kind: str) -> LibraryIndex:
    """An index of the vectors in memory, with a sample and its measured recall."""
    corpus, n = VectorCorpus(vectors), len(vectors)
    spec = IndexSpec(MAPPED_KINDS[kind])
    index = build_index(corpus.blocks, spec, n=n, dim=corpus.dim)
    index.sample = IndexSample.draw(corpus.vectors, n).measured(index, corpus.blocks(), n)
    return index


Outcome = tuple[float, float, int, float]
"""Recall, bound, evaluations and milliseconds of one query."""


def measure(
    vectors: Vectors,
    nets: Sequence[QNet],
    settings: GuidedOptions,
    k: int,
    index: LibraryIndex | None,
) -> list[Outcome]:
    """Search with the bound, and compare with the scores of all documents."""
    corpus, scorer = VectorCorpus(vectors), QNetScorer(nets, vectors.shape[1])
    started = time.perf_counter()
    searched = GuidedEngine(corpus, settings, index=index).search(scorer, k=k)
    each = (time.perf_counter() - started) / len(nets) * 1e3
    outcomes = []
    for query, row in enumerate(score_table(scorer, corpus)):
        found = [int(doc_id) for doc_id, _ in searched.rankings[query]]
        last = np.partition(row, len(row) - k)[-k]
        recall = float((row[found] >= last).sum()) / k
        bound = float(searched.recall_bounds[query])
        outcomes.append((recall, bound, int(searched.evaluations[query]), each))
    return outcomes


def summary(outcomes: list[Outcome], options: argparse.Namespace) -> dict[str, float]:
    """Shares and means over the queries."""
    recalls, bounds, evaluations, each = map(np.array, zip(*outcomes, strict=True))
    exact = evaluations >= options.documents
    searched = ~exact if not exact.all() else exact
    return {
        "queries": len(outcomes),
        "bound_holds": round(float((recalls >= bounds - 1e-9).mean()), 4),
        "holds_without_exact": round(float((recalls >= bounds - 1e-9)[searched].mean()), 4),
        "target_reached": round(float((recalls >= options.recall - 1e-9).mean()), 4),
        "recall_mean": round(float(recalls.mean()), 4),
        "recall_min": round(float(recalls.min()), 4),
        "bound_mean": round(float(bounds.mean()), 4),
        "exact": int(exact.sum()),
        "evaluations_mean": round(float(evaluations.mean())),
        "evaluations_share": round(float(evaluations.mean()) / options.documents, 4),
        "ms": round(float(each.mean()), 1),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
