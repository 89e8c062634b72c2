"""What the engines are held to their contract with: scorers, documents, engines of more effort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.certified import CertifiedEngine, ScanOptions
from hypencli.engine.corpus import Corpus, VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.found import Engine
from hypencli.engine.graph import GraphEngine, WalkOptions
from hypencli.engine.guided import GuidedEngine, GuidedOptions
from hypencli.engine.index_search import IndexEngine
from hypencli.engine.index_spec import IndexSpec
from hypencli.engine.rerank import RerankEngine
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.engine.vector_index import build_index
from hypencli.models.converters import MatryoshkaConverter
from hypencli.models.qnet import QNetBatch

MOST_QUERIES = 64


class TanhNet:
    """A q-net of the smallest kind: ``tanh(x W) v``."""

    def __init__(self, matrix: torch.Tensor, vector: torch.Tensor) -> None:
        self.matrix, self.vector = matrix, vector

    @property
    def dim(self) -> int:
        return self.matrix.shape[0]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(vectors @ self.matrix.to(vectors.dtype))
        return hidden @ self.vector.to(vectors.dtype)


def q_net_scorer(q: int, dim: int, generator: torch.Generator) -> QNetScorer:
    nets = [
        TanhNet(
            torch.randn((dim, dim + 3), generator=generator),
            torch.randn((dim + 3, 1), generator=generator),
        )
        for _ in range(q)
    ]
    return QNetScorer(nets, dim)


def inner_product_scorer(q: int, dim: int, generator: torch.Generator) -> Scorer:
    return InnerProductScorer(torch.randn((q, dim), generator=generator))


def narrow_q_net_scorer(q: int, dim: int, generator: torch.Generator) -> QNetScorer:
    """Q-nets at a width below their full one: views of larger matrices."""
    converter = MatryoshkaConverter([dim, 48, 48, 1], widths=[32], do_residual=False)
    nets = [
        QNetBatch(
            tuple(torch.randn(1, *s, generator=generator) for s in converter.weight_shapes),
            tuple(torch.randn(1, *s, generator=generator) for s in converter.bias_shapes),
            converter,
        )
        for _ in range(q)
    ]
    return QNetScorer([net.narrow(32) for net in nets], dim)


MakeScorer = Callable[[int, int, torch.Generator], Scorer]
SCORERS: dict[str, MakeScorer] = {
    "q-net": q_net_scorer,
    "narrow q-net": narrow_q_net_scorer,
    "inner product": inner_product_scorer,
}


def nearest(vectors: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` nearest documents of each, nearest first, -1 where there are fewer."""
    values = vectors.astype(np.float64)
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    reach = max(0, min(k, len(vectors) - 1))
    found = np.full((len(vectors), k), -1, dtype=np.int32)
    found[:, :reach] = np.argsort(distances, axis=1)[:, :reach]
    return found


def all_vectors(corpus: Corpus) -> np.ndarray:
    return np.asarray(corpus.vectors(np.arange(corpus.n)))


def share(corpus: Corpus, effort: float) -> int:
    """How many documents a share of the corpus is, at least one."""
    return max(1, round(effort * corpus.n))


def graph(corpus: Corpus, effort: float) -> Engine:
    """Over a graph of eight neighbours; all documents are entry points in the end."""
    options = WalkOptions(entry_points=share(corpus, effort), candidates=4, max_iterations=3)
    return GraphEngine(corpus, nearest(all_vectors(corpus), 8), options)


def guided(corpus: Corpus, effort: float) -> Engine:
    return GuidedEngine(corpus, GuidedOptions(budget=share(corpus, effort)))


def guided_by_gain(corpus: Corpus, effort: float) -> Engine:
    """A gain below 0 lets it go on to the end of its pool, which is all documents."""
    return GuidedEngine(corpus, GuidedOptions(gain=1 - 2 * effort, pool=corpus.n))


def rerank(corpus: Corpus, effort: float) -> Engine:
    """Of documents drawn at random, the same for every query."""
    drawn = np.random.default_rng(0).permutation(corpus.n)[: share(corpus, effort)]
    return RerankEngine(corpus, [drawn] * MOST_QUERIES)


def by_index(kind: str, **options: int) -> Callable[[Corpus, float], Engine]:
    def open_index(corpus: Corpus, effort: float) -> Engine:
        effort_of = {} if kind == "faiss-flat" else {"ef_search": share(corpus, effort)}
        spec = IndexSpec(kind, {"threads": 1, **options, **effort_of})
        index = build_index(corpus.blocks, spec, n=corpus.n, dim=corpus.dim)
        return IndexEngine(corpus, index)

    return open_index


OpenEngine = Callable[[Corpus, float], Engine]
BY_SCORE: dict[str, OpenEngine] = {
    "exact": lambda corpus, effort: ExactEngine(corpus),
    "certified": lambda corpus, effort: CertifiedEngine(corpus, ScanOptions(limit=1)),
    "certified in int8": lambda corpus, effort: CertifiedEngine(
        corpus, ScanOptions(dtype=torch.int8, limit=1)
    ),
    "graph": graph,
    "guided": guided,
    "guided by gain": guided_by_gain,
    "rerank": rerank,
}
"""Engines that ask the scorer: every kind of query."""

BY_INDEX: dict[str, OpenEngine] = {
    "faiss-flat": by_index("faiss-flat"),
    "faiss-hnsw": by_index("faiss-hnsw", M=8),
    "hnsw": by_index("hnsw", M=8),
}
"""Engines that have scores of their own: query vectors alone."""


@dataclass(frozen=True)
class Case:
    """An engine with a kind of queries.

    Attributes:
        engine: Its name.
        kind: What scores.
        open_engine: Opens it for a corpus, to look at that share of the documents or more.
        make_scorer: Makes a scorer of so many queries of that width.
    """

    engine: str
    kind: str
    open_engine: OpenEngine
    make_scorer: MakeScorer

    def __str__(self) -> str:
        return f"{self.engine}-{self.kind}"

    @property
    def by_index(self) -> bool:
        return self.engine in BY_INDEX

    @property
    def marks(self) -> list[pytest.MarkDecorator]:
        """What else than this project it needs."""
        return [pytest.mark.hnswlib] if self.engine == "hnsw" else []

    @property
    def finds_all_at_once(self) -> bool:
        """Whether no effort is too little: it looks at all, or the slope of a line says it all."""
        linear = (self.engine, self.kind) == ("guided by gain", "inner product")
        return linear or self.engine in ("exact", "certified", "certified in int8", "faiss-flat")

    def finds_all_with_effort(self, dim: int) -> bool:
        """Whether it finds all with the most effort, in vectors of that width.

        By inner product a library's graph need not lead to each document where vectors are narrow
        (1,500 random cases: 73 at a width of 1, 24 at 2, 1 at 3, none from 4 to 24).
        """
        return dim >= 8 or self.engine not in ("hnsw", "faiss-hnsw")

    def scorer(self, q: int, dim: int = 13, seed: int = 0) -> Scorer:
        return self.make_scorer(q, dim, torch.Generator().manual_seed(seed))


CASES = [
    *(Case(e, s, BY_SCORE[e], SCORERS[s]) for e in BY_SCORE for s in SCORERS),
    *(Case(e, "inner product", BY_INDEX[e], SCORERS["inner product"]) for e in BY_INDEX),
]


def cases_where(keep: Callable[[Case], bool]) -> Any:
    """A fixture that is each of some of the cases in turn."""

    kept = [pytest.param(each, id=str(each), marks=each.marks) for each in CASES if keep(each)]

    @pytest.fixture(scope="session", params=kept)
    def chosen(request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    return chosen


case = cases_where(lambda each: True)
scoring_case = cases_where(lambda each: not each.by_index)
q_net_case = cases_where(lambda each: each.kind == "q-net")
vector_case = cases_where(lambda each: each.kind == "inner product")
index_case = cases_where(lambda each: each.by_index)


@pytest.fixture(scope="session", params=SCORERS)
def make_scorer(request: pytest.FixtureRequest) -> MakeScorer:
    return SCORERS[request.param]


@pytest.fixture(scope="session")
def scorers() -> dict[str, MakeScorer]:
    return SCORERS


@pytest.fixture(scope="session")
def corpus_of() -> Callable[..., VectorCorpus]:
    """Makes documents of given vectors, or random ones; their ids are not in the corpus's order."""

    def make(given: int | np.ndarray, dim: int = 13) -> VectorCorpus:
        if isinstance(given, int):
            given = np.random.default_rng(0).normal(size=(given, dim)).astype(np.float32)
        return VectorCorpus(given, [f"doc{(i * 7919) % 100_003:06d}" for i in range(len(given))])

    return make
