"""How often `scan=surrogate` misses a document, over simulated queries.

    python benchmarks/exact_bound.py                     # 600 queries a family and depth; an hour
    python benchmarks/exact_bound.py --queries 60 --family heavy --depth 10

The corpora are those of `approx_bound.py`. A query is a function of one family: those of
`simulated_nets.py`, and a linear function with errors that no surrogate can follow, of three tails:
normal, exponential (the heaviest that the bound assumes) and Pareto with an index of 3 (heavier:
the sample has to show it). A third of the documents are copies of others in the corpora of
`copies`. One JSON line a family and depth: the queries that surrogates settled, how many of these
miss a document, how many documents are missing, and the share of the corpus that was scored. The
same with other factors of the bound shows how much of it is needed: `--risk`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from simulated_nets import FAMILIES, Net, Vectors, simulated_corpus

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions, SurrogateOptions
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.scorers import QNet, QNetScorer

DEPTHS = (10, 100, 500)
CORPUS_QUERIES = 60
"""Queries over one simulated corpus; the next ones search another."""

Quantile = Callable[[torch.Tensor], torch.Tensor]
Family = Callable[[Vectors, int, int], Sequence[QNet]]


def normal(share: torch.Tensor) -> torch.Tensor:
    return torch.special.ndtri(share)


def exponential(share: torch.Tensor) -> torch.Tensor:
    return torch.sign(share - 0.5) * -torch.log1p(-(2 * share - 1).abs())


def pareto(share: torch.Tensor) -> torch.Tensor:
    return torch.sign(share - 0.5) * ((1 - (2 * share - 1).abs()) ** (-1 / 3) - 1)


def noisy(quantile: Quantile) -> Family:
    """Linear functions with errors, which vary .05 to .3 times as much, by the first column."""

    def nets(vectors: Vectors, count: int, seed: int) -> list[QNet]:
        drawn = np.random.default_rng((seed, 3))
        made: list[QNet] = []
        for _ in range(count):
            direction = vectors[drawn.integers(len(vectors))] - vectors.mean(axis=0)
            linear = torch.from_numpy(direction / float((vectors[:2_000] @ direction).std()))
            scale, turn = float(drawn.uniform(0.05, 0.3)), float(drawn.uniform(1e5, 2e5))

            def score(
                x: torch.Tensor, linear: torch.Tensor = linear, s: float = scale, t: float = turn
            ) -> torch.Tensor:
                place = (x[:, 0].detach().double() * t).frac().abs()
                errors = quantile(place.clamp(1e-9, 1 - 1e-9)).float()
                return x @ linear + s * errors

            made.append(Net(vectors.shape[1], score))
        return made

    return nets


ALL: Mapping[str, Family] = {
    **FAMILIES,
    "normal": noisy(normal),
    "exponential": noisy(exponential),
    "heavy": noisy(pareto),
    "copies": noisy(exponential),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--queries", type=int, default=600, help="of each family, at each depth")
    parser.add_argument("--family", nargs="+", default=list(ALL), choices=list(ALL))
    parser.add_argument("--depth", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--sample", type=int, default=512, help="fitted, and again held")
    parser.add_argument("--risk", type=float, default=SurrogateOptions().risk)
    options = parser.parse_args()
    for family in options.family:
        outcomes: dict[int, list[Outcome]] = {k: [] for k in options.depth}
        for seed in range(-(-options.queries // CORPUS_QUERIES)):
            count = min(CORPUS_QUERIES, options.queries - seed * CORPUS_QUERIES)
            vectors = simulated_corpus(options.documents, options.width, seed)
            if family == "copies":
                vectors[: len(vectors) // 3] = vectors[-(len(vectors) // 3) :]
            scorer = QNetScorer(ALL[family](vectors, count, seed), options.width)
            for k, done in outcomes.items():
                done += measure(VectorCorpus(vectors), scorer, k, seed, options)
        for k, done in outcomes.items():
            print(json.dumps({"family": family, "k": k, **summary(done)}), flush=True)


Outcome = tuple[bool, int, float]
"""Whether surrogates settled a query, how many documents are missing, and the share scored."""


def measure(
    corpus: VectorCorpus, scorer: QNetScorer, k: int, seed: int, options: argparse.Namespace
) -> list[Outcome]:
    """Search by surrogates, and compare with float32."""
    surrogate = SurrogateOptions(
        fitted=options.sample, held=options.sample, risk=options.risk, seed=seed
    )
    engine = ErrorBoundedEngine(corpus, FirstPassOptions(dtype=None, surrogate=surrogate))
    actual = engine.search(scorer, k=k)
    expected = ExactEngine(corpus).search(scorer, k=k).rankings
    settled = (~actual.scan.fell_back).tolist()
    missing = [
        len(set(right) - set(mine)) for right, mine in zip(expected, actual.rankings, strict=True)
    ]
    return list(zip(settled, missing, (actual.scan.rescored / corpus.n).tolist(), strict=True))


def summary(outcomes: list[Outcome]) -> dict[str, float]:
    """Counts over the queries, and the mean share of those that surrogates settled."""
    settled = [(missing, share) for done, missing, share in outcomes if done]
    return {
        "queries": len(outcomes),
        "settled": len(settled),
        "queries_that_miss": sum(missing > 0 for missing, _ in settled),
        "documents_missing": sum(missing for missing, _ in settled),
        "share_scored": round(float(np.mean([share for _, share in settled] or [0])), 4),
        "missing_of_others": sum(missing for done, missing, _ in outcomes if not done),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
