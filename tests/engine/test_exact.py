"""Exact search, with every scorer: however the corpus and the queries are cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.rerank import RerankEngine
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer

MakeScorer = Callable[[int, int, torch.Generator], Scorer]
Scorers = dict[str, MakeScorer]


def names(count: int) -> list[str]:
    """Ids whose order is not that of the corpus."""
    return [f"doc{(i * 7919) % 100_003:06d}" for i in range(count)]


def pieces(vectors: np.ndarray, cuts: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    edges = [0, *sorted(cuts), len(vectors)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            yield start, vectors[start:end]


class CutCorpus(VectorCorpus):
    """A corpus that is read in pieces, as of shards."""

    def __init__(self, vectors: np.ndarray, cuts: Sequence[int]) -> None:
        super().__init__(vectors, names(len(vectors)))
        self._cuts = cuts

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        return pieces(self._vectors, self._cuts)


def run(
    scorer: Scorer,
    vectors: np.ndarray,
    *,
    k: int,
    cuts: Sequence[int] = (),
    **options: int,
) -> list[list[tuple[str, float]]]:
    engine = ExactEngine(CutCorpus(vectors, cuts), **options)  # type: ignore[arg-type]
    result = engine.search(scorer, k=k)
    assert result.evaluations.tolist() == [len(vectors)] * scorer.n_queries
    return result.rankings


def vectors_of(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def test_ten_line_numpy_search_agrees(scorers: Scorers) -> None:
    scorer = scorers["q-net"](4, 9, torch.Generator().manual_seed(2))
    vectors, ids = vectors_of(200, 9), names(200)
    rankings = run(scorer, vectors, k=200)
    for query, net in enumerate(scorer._q_nets):
        scores = np.tanh(vectors.astype(np.float64) @ net.matrix.double().numpy())
        scores = (scores @ net.vector.double().numpy())[:, 0]
        order = sorted(range(200), key=lambda i: (-scores[i], ids[i]))
        assert [doc_id for doc_id, _ in rankings[query]] == [ids[i] for i in order]
        np.testing.assert_allclose([s for _, s in rankings[query]], scores[order], atol=1e-5)


@settings(max_examples=40)
@given(
    n=st.integers(1, 150),
    dim=st.integers(1, 17),
    q=st.integers(1, 5),
    k=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 150), max_size=5),
    kind=st.sampled_from(["inner product", "narrow q-net", "q-net"]),
    levels=st.integers(1, 4),
)
def test_shards_and_query_batches_change_nothing(
    scorers: Scorers, n: int, dim: int, q: int, k: int, cuts: list[int], kind: str, levels: int
) -> None:
    """Bit-equal rankings for any cut of the corpus and any cut of the queries, ties included."""
    vectors = np.round(vectors_of(n, dim, seed=n) * levels) / levels
    scorer = scorers[kind](q, dim, torch.Generator().manual_seed(3))
    whole = run(scorer, vectors, k=k, rows=16)
    assert run(scorer, vectors, k=k, cuts=[c for c in cuts if c <= n], rows=16) == whole
    if isinstance(scorer, QNetScorer):
        alone = [QNetScorer([net], dim) for net in scorer._q_nets]
        assert [run(one, vectors, k=k, rows=16)[0] for one in alone] == whole


@pytest.mark.parametrize("dim", [1, 3, 8, 21, 30])
@pytest.mark.parametrize("kind", ["inner product", "narrow q-net"])
def test_a_few_documents_score_as_they_do_among_all(scorers: Scorers, kind: str, dim: int) -> None:
    """To the last bit, however few, of last layers however narrow."""
    scorer = scorers[kind](2, dim, torch.Generator().manual_seed(5))
    corpus = VectorCorpus(vectors_of(1500, dim))
    whole = ExactEngine(corpus).search(scorer, k=1500).rankings
    for few in (1, 2, 3, 5, 31, 48, 70, 700):
        selected = np.random.default_rng(few).permutation(1500)[:few]
        searched = RerankEngine(corpus, [selected] * 2).search(scorer, k=few).rankings
        for ranking, expected in zip(searched, whole, strict=True):
            assert ranking == [pair for pair in expected if pair[0] in dict(ranking)]


def test_many_query_vectors_score_as_one_alone() -> None:
    queries = torch.randn((70, 24), generator=torch.Generator().manual_seed(4))
    vectors = vectors_of(500, 24)
    together = run(InnerProductScorer(queries), vectors, k=30)
    for i in (0, 31, 32, 69):
        assert run(InnerProductScorer(queries[i : i + 1]), vectors, k=30)[0] == together[i]


def test_bfloat16_scores_are_near(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(1, 16, torch.Generator().manual_seed(10))
    vectors = vectors_of(50, 16)
    fine = dict(run(scorer, vectors, k=50)[0])
    if isinstance(scorer, InnerProductScorer):
        scorer = InnerProductScorer(scorer.queries.bfloat16())
    coarse = dict(run(scorer, vectors, k=50, dtype=torch.bfloat16)[0])  # type: ignore[arg-type]
    assert coarse != fine
    assert coarse == pytest.approx(fine, abs=0.02 * np.ptp(list(fine.values())))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_scores_as_the_cpu_does() -> None:
    queries = torch.randn((3, 16), generator=torch.Generator().manual_seed(14))
    vectors, device = vectors_of(200, 16), torch.device("cuda")
    here = run(InnerProductScorer(queries), vectors, k=200)
    existing = run(InnerProductScorer(queries.to(device)), vectors, k=200, device=device)  # type: ignore[arg-type]
    for one, other in zip(here, existing, strict=True):
        np.testing.assert_allclose([s for _, s in one], [s for _, s in other], atol=1e-3)
