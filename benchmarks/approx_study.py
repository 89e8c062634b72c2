"""What a study of approximate search is made on: a corpus, q-nets, and the score of every pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from hypencli.data.queries import open_queries
from hypencli.engine.blocks import BLOCK_ROWS, BlockScorer
from hypencli.engine.corpus import SearchCorpus, VectorCorpus
from hypencli.engine.graph_walk import Neighbours
from hypencli.engine.scorers import QNet, QNetScorer, Scorer
from hypencli.engine.topk import TopK
from hypencli.ops.models import ModelSource, find_model, load_model
from hypencli.ops.search.options import Scoring
from hypencli.ops.search.scoring import encoded_queries
from hypencli.records import Ranking
from hypestore import Store

DEEPEST = 1000
SAMPLE, FITTED = 8_000, 5_000
"""Documents that show how far from linear a q-net is, and those of them a function is fitted to."""

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """Some queries over one corpus.

    Attributes:
        name: Of the corpus.
        model: Whose q-nets they are.
        scores: Of every document for every query, ``[q, n]``.
        seconds_per_score: What one of them took.
        neighbours: The graph ``[n, m]``, where there is one.
    """

    name: str
    model: str
    corpus: SearchCorpus
    q_nets: Sequence[QNet]
    scores: Table
    seconds_per_score: float
    neighbours: Neighbours | None = None

    @cached_property
    def scorer(self) -> QNetScorer:
        """Of all queries."""
        return QNetScorer(self.q_nets, self.corpus.dim)

    @cached_property
    def exact(self) -> list[list[str]]:
        """The ids of the 1,000 best documents of each query, by the table."""
        return [
            [doc_id for doc_id, _ in best_of(row, DEEPEST, self.corpus.ids)] for row in self.scores
        ]

    def recalls(self, rankings: Sequence[Ranking], k: int) -> list[float]:
        """The share of the exact best ``k`` that is among the first ``k`` found, by query."""
        return [
            len({doc_id for doc_id, _ in ranking[:k]}.intersection(exact[:k])) / len(exact[:k])
            for ranking, exact in zip(rankings, self.exact, strict=True)
        ]

    def recall(self, rankings: Sequence[Ranking], k: int) -> float:
        """The mean of it over the queries."""
        return statistics.mean(self.recalls(rankings, k))


def make_study(
    name: str,
    model: str,
    corpus: SearchCorpus,
    q_nets: Sequence[QNet],
    neighbours: Neighbours | None = None,
) -> Study:
    """Score everything once."""
    started = time.perf_counter()
    scores = score_table(QNetScorer(q_nets, corpus.dim), corpus)
    seconds = (time.perf_counter() - started) / max(1, scores.size)
    return Study(name, model, corpus, q_nets, scores, seconds, neighbours)


def score_table(scorer: Scorer, corpus: SearchCorpus) -> Table:
    """The score of every document for every query, ``[q, n]``."""
    score = BlockScorer(device=torch.device("cpu"), dtype=torch.float32, dim=corpus.dim)
    return np.concatenate(
        [
            score(scorer, [vectors[start : start + BLOCK_ROWS]])
            for _, vectors in corpus.blocks()
            for start in range(0, len(vectors), BLOCK_ROWS)
        ],
        axis=1,
    )


def best_of(scores: Table, k: int, ids: Callable[..., Sequence[str]]) -> Ranking:
    """The ``k`` best of the scores ``[n]`` of all documents."""
    top = TopK(k, ids)
    top.add(scores, 0)
    return top.ranking()


def linearity(study: Study) -> list[float] | None:
    """R² of the best linear function of the document vector, by query.

    Fitted to one part of a sample of the corpus and measured on the other; None where the corpus is
    too small to tell.
    """
    if study.corpus.n < SAMPLE:
        return None
    selected = np.random.default_rng(0).choice(study.corpus.n, SAMPLE, replace=False)
    vectors = study.corpus.vectors(selected).astype(np.float64)
    vectors = np.concatenate([vectors, np.ones((SAMPLE, 1))], axis=1)
    scores = study.scores[:, selected].T.astype(np.float64)
    weights, *_ = np.linalg.lstsq(vectors[:FITTED], scores[:FITTED], rcond=None)
    missed = scores[FITTED:] - vectors[FITTED:] @ weights
    return (1 - (missed**2).mean(axis=0) / scores[FITTED:].var(axis=0)).tolist()


def q_nets_of(store: Store, model: str, queries: Path, n: int) -> Sequence[QNet]:
    """The q-nets that a model of a store makes of the first ``n`` queries of a file."""
    loaded = load_model(store, find_model(store, ModelSource(model)), device=torch.device("cpu"))
    texts = [query.text for query in open_queries(queries)][:n]
    encoded = encoded_queries(loaded, texts, Scoring(device="cpu"))
    return [net.to(dtype=torch.float32) for net in encoded.q_nets()]


class RandomNet:
    """A q-net that nobody trained: layers of noise, as far from linear as they come.

    Linear, ReLU, normalisation, ``layers`` times, then a weighted sum; of vectors scaled to the
    length at which their parts are about 1.
    """

    def __init__(self, dim: int, layers: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        self.dim = dim
        self._layers = [
            (noise(dim, dim) * (2 / dim) ** 0.5, noise(dim) * 0.3) for _ in range(layers)
        ]
        self._out = noise(dim, 1) / dim**0.5

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """Scores ``[1, n, 1]`` of vectors ``[1, n, d]``."""
        actual = vectors * self.dim**0.5
        for weights, bias in self._layers:
            actual = torch.nn.functional.layer_norm(
                torch.relu(actual @ weights + bias), (self.dim,)
            )
        return actual @ self._out


def random_nets(dim: int, n: int, layers: int = 6) -> Sequence[QNet]:
    """Untrained q-nets, each of another seed."""
    return [RandomNet(dim, layers, seed) for seed in range(n)]


def places(study: Study) -> tuple[VectorCorpus, TableScorer]:
    """The same corpus and queries, a document's vector being its place: scores are looked up."""
    ids = study.corpus.ids(np.arange(study.corpus.n))
    numbers = np.arange(study.corpus.n, dtype=np.float32)[:, None]  # exact below 2**24
    return VectorCorpus(numbers, ids), TableScorer(study.scores)


class TableScorer:
    """Scores that are known already, of documents whose vectors ``[n, 1]`` are their places."""

    dim = 1

    def __init__(self, scores: Table) -> None:
        self._scores = torch.from_numpy(scores)

    @property
    def n_queries(self) -> int:
        return len(self._scores)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return self._scores[:, vectors[:, 0].long()]

    def select(self, queries: Sequence[int]) -> TableScorer:
        return TableScorer(self._scores[list(queries)].numpy())

    def prepared(self, dtype: torch.dtype, *_: object, **__: object) -> TableScorer:
        return self
