"""Fixtures for the contract of engines: scorers, documents, and engines with a given effort."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions, SurrogateOptions
from hypencli.engine.corpus import SearchCorpus, VectorCorpus, first_beyond
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.registry.entry import SearchRequest, TextEngineEntry
from hypencli.engine.registry.lookup import engine_entries, engine_entry
from hypencli.engine.results import Engine
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.engine.vector_index.index import LibraryIndex, build_index
from hypencli.engine.vector_index.sample import IndexSample
from hypencli.engine.vector_index.spec import IndexSpec
from hypencli.models.qnets.batch import QNetBatch
from hypencli.models.qnets.registry import MatryoshkaConverter

MOST_QUERIES = 64


class TanhNet:
    """The smallest kind of q-net: ``tanh(x W) v``."""

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
    """Make q-nets narrower than their full width, which are views of larger matrices."""
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
    """Return the ``k`` nearest documents of each document, nearest first; missing ones are -1."""
    values = vectors.astype(np.float64)
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    reach = max(0, min(k, len(vectors) - 1))
    actual = np.full((len(vectors), k), -1, dtype=np.int32)
    actual[:, :reach] = np.argsort(distances, axis=1)[:, :reach]
    return actual


def all_vectors(corpus: SearchCorpus) -> np.ndarray:
    return np.asarray(corpus.vectors(np.arange(corpus.n)))


def share(corpus: SearchCorpus, effort: float) -> int:
    """Convert a share of the corpus to a number of documents, at least one."""
    return max(1, round(effort * corpus.n))


@dataclass(frozen=True)
class MemoryContext:
    """Context of an engine without a store. Everything is computed from the vectors."""

    corpus: SearchCorpus
    effort: float = 1.0
    request = SearchRequest(k=1, q_nets=False)
    device = torch.device("cpu")
    dtype = torch.float32
    query_ids = tuple(map(str, range(MOST_QUERIES)))

    def neighbours(self) -> np.ndarray:
        """Return eight neighbours of each document."""
        return nearest(all_vectors(self.corpus), 8)

    def index(self, spec: IndexSpec) -> LibraryIndex:
        return build_index(self.corpus.blocks, spec, n=self.corpus.n, dim=self.corpus.dim)

    def existing_index(self) -> None:
        """Return no index: none was built before."""

    def candidates(self) -> list[np.ndarray]:
        """Return a random share of the documents, equal for every query."""
        drawn = np.random.default_rng(0).permutation(self.corpus.n)
        return [drawn[: share(self.corpus, self.effort)]] * MOST_QUERIES

    def speed_ratios(self) -> dict[str, float]:
        return {"int8": 0.0, "bfloat16": 0.0}

    def cached(self, name: str, make: Callable[[Path], None], **determined_by: object) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=name))
        make(folder)
        return folder


OpenEngine = Callable[[SearchCorpus, float], Engine]
Settings = Callable[[SearchCorpus, float], dict[str, Any]]

EFFORT: dict[str, Settings] = {
    "exact": lambda corpus, effort: {"scan": "float32"},
    "guided": lambda corpus, effort: {"budget": share(corpus, effort)},
    "graph": lambda corpus, effort: {
        "entry_points": share(corpus, effort),
        "candidates": 4,
        "max_iterations": 3,
    },
    "rerank": lambda corpus, effort: {"run": "any"},
    "hnsw": lambda corpus, effort: {"threads": 1, "M": 8, "ef_search": share(corpus, effort)},
    "faiss-flat": lambda corpus, effort: {"threads": 1},
    "faiss-hnsw": lambda corpus, effort: {"threads": 1, "M": 8, "ef_search": share(corpus, effort)},
}
"""Name of an engine -> options with which it examines at least this share of the documents.

An engine of the registry without an entry here uses its default options. It is excluded from the
tests of effort.
"""

APART = {"faiss-flat16", "faiss-ivf", "faiss-ivfpq"}
"""Engines whose scores differ from those of exact search; test_vector_index.py tests them."""


def by_registry(name: str) -> OpenEngine:
    """Return a function that opens an engine of the registry over vectors in memory."""
    entry = engine_entry(name)

    def open_engine(corpus: SearchCorpus, effort: float) -> Engine:
        values = EFFORT[name](corpus, effort) if name in EFFORT else {}
        return entry.open(entry.parse(values), MemoryContext(corpus, effort))

    return open_engine


def guided_by_gain(corpus: SearchCorpus, effort: float) -> Engine:
    """Open an engine whose threshold is below 0 at full effort, so that it scores all documents."""
    return GuidedEngine(corpus, GuidedOptions(gain=1 - 2 * effort, pool=corpus.n))


def measured_index(corpus: SearchCorpus) -> LibraryIndex | None:
    """Build an index in memory, as `hype index` does; None where it refuses the vectors."""
    if not corpus.n or first_beyond(all_vectors(corpus)) is not None:
        return None
    spec = IndexSpec("faiss-flat16", {"threads": 1})
    index = build_index(corpus.blocks, spec, n=corpus.n, dim=corpus.dim)
    sample = IndexSample.draw(corpus.vectors, corpus.n)
    index.sample = sample.measured(index, corpus.blocks(), corpus.n)
    return index


VARIANTS: dict[str, OpenEngine] = {
    "certified": lambda corpus, effort: ErrorBoundedEngine(corpus, FirstPassOptions(limit=1)),
    "certified by surrogates": lambda corpus, effort: ErrorBoundedEngine(
        corpus,
        FirstPassOptions(
            dtype=None, surrogate=SurrogateOptions(fitted=32, held=32, limit=1), limit=1
        ),
    ),
    "certified in int8": lambda corpus, effort: ErrorBoundedEngine(
        corpus, FirstPassOptions(dtype=torch.int8, limit=1)
    ),
    "guided by gain": guided_by_gain,
    "guided by an index": lambda corpus, effort: GuidedEngine(
        corpus,
        GuidedOptions(recall=effort**0.1, confidence=0.95 if effort < 1 else 0.9999),
        index=measured_index(corpus),
    ),
    "guided to a recall": lambda corpus, effort: GuidedEngine(
        corpus, GuidedOptions(recall=effort**0.1, confidence=0.95 if effort < 1 else 0.9999)
    ),
}
"""Variants of registered engines, with options and bounds that the tests need."""

REGISTERED = [
    entry
    for entry in engine_entries()
    if entry.name not in APART and not isinstance(entry, TextEngineEntry)
]
BY_SCORE: dict[str, OpenEngine] = {
    **{one.name: by_registry(one.name) for one in REGISTERED if one.queries != "vectors"},
    **VARIANTS,
}
"""Engines that use the scorer, for every kind of query."""

BY_INDEX: dict[str, OpenEngine] = {
    one.name: by_registry(one.name) for one in REGISTERED if one.queries == "vectors"
}
"""Engines that compute scores themselves, for query vectors only."""


@dataclass(frozen=True)
class Case:
    """A combination of an engine and a kind of queries.

    Attributes:
        engine: Name of the engine.
        kind: Kind of scorer.
        open_engine: Opens the engine for a corpus, to examine at least a given share of the
            documents.
        make_scorer: Makes a scorer of a number of queries with a given width.
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
    def has_effort(self) -> bool:
        """Whether the tests can make the engine examine more documents."""
        return self.engine in EFFORT or self.engine in VARIANTS

    @property
    def marks(self) -> list[pytest.MarkDecorator]:
        """Marks for requirements beyond the installed project."""
        return [pytest.mark.hnswlib] if self.engine == "hnsw" else []

    @property
    def finds_all_at_once(self) -> bool:
        """Whether the engine finds all results with any effort.

        It scores all documents, or its gradient determines all scores because they are linear.
        """
        linear = self.engine in ("guided by gain", "guided by an index", "guided to a recall")
        linear = linear and self.kind == "inner product"
        return linear or self.engine in (
            "exact",
            "certified",
            "certified by surrogates",
            "certified in int8",
            "faiss-flat",
        )

    def finds_all_with_effort(self, dim: int) -> bool:
        """Return whether the engine finds all results with full effort, for vectors of this width.

        With inner products, the graph of a library may not lead to every document if vectors are
        narrow. In 1,500 random cases this occurred 73 times at width 1, 24 at 2, 1 at 3, none from
        4 to 24.
        """
        return dim >= 8 or self.engine not in ("hnsw", "faiss-hnsw")

    def scorer(self, q: int, dim: int = 13, seed: int = 0) -> Scorer:
        return self.make_scorer(q, dim, torch.Generator().manual_seed(seed))


CASES = [
    *(Case(e, s, BY_SCORE[e], SCORERS[s]) for e in BY_SCORE for s in SCORERS),
    *(Case(e, "inner product", BY_INDEX[e], SCORERS["inner product"]) for e in BY_INDEX),
]


def cases_where(keep: Callable[[Case], bool]) -> Any:
    """Make a fixture with one parameter for each selected case."""

    kept = [pytest.param(each, id=str(each), marks=each.marks) for each in CASES if keep(each)]

    @pytest.fixture(scope="session", params=kept)
    def chosen(request: pytest.FixtureRequest) -> Case:
        actual: Case = request.param
        return actual

    return chosen


case = cases_where(lambda each: True)
effort_case = cases_where(lambda each: each.has_effort)
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
    """Return a function that makes documents from vectors or at random, with unordered ids."""

    def make(inputs: int | np.ndarray, dim: int = 13) -> VectorCorpus:
        if isinstance(inputs, int):
            inputs = np.random.default_rng(0).normal(size=(inputs, dim)).astype(np.float32)
        return VectorCorpus(inputs, [f"doc{(i * 7919) % 100_003:06d}" for i in range(len(inputs))])

    return make
