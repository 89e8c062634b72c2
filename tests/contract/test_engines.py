"""What every search engine must hold, with every scorer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypencli.engine.exact import search_exact
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer
from hypencli.errors import ModelError
from hypencli.models.converters import MatryoshkaConverter
from hypencli.models.qnet import QNetBatch


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
    converter = MatryoshkaConverter([dim, 16, 16, 1], widths=[8], do_residual=False)
    nets = [
        QNetBatch(
            tuple(torch.randn(1, *s, generator=generator) for s in converter.weight_shapes),
            tuple(torch.randn(1, *s, generator=generator) for s in converter.bias_shapes),
            converter,
        )
        for _ in range(q)
    ]
    return QNetScorer([net.narrow(8) for net in nets], dim)


SCORERS = {
    "q-net": q_net_scorer,
    "narrow q-net": narrow_q_net_scorer,
    "inner product": inner_product_scorer,
}
MakeScorer = Callable[[int, int, torch.Generator], Scorer]


@pytest.fixture(params=SCORERS)
def make_scorer(request: pytest.FixtureRequest) -> MakeScorer:
    return SCORERS[request.param]


def names(count: int) -> list[str]:
    """Ids whose order is not that of the corpus."""
    return [f"doc{(i * 7919) % 100_003:06d}" for i in range(count)]


def pieces(vectors: np.ndarray, cuts: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    edges = [0, *sorted(cuts), len(vectors)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            yield start, vectors[start:end]


def run(
    scorer: Scorer,
    vectors: np.ndarray,
    *,
    k: int,
    cuts: Sequence[int] = (),
    ids: list[str] | None = None,
    **options: int,
) -> list[list[tuple[str, float]]]:
    ids = ids or names(len(vectors))
    found = search_exact(
        scorer,
        pieces(vectors, cuts),
        k=k,
        doc_ids=lambda ordinals: [ids[i] for i in ordinals],
        **options,
    )
    assert found.evaluations.tolist() == [len(vectors)] * scorer.n_queries
    return found.rankings


def vectors_of(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def test_scores_fall_and_documents_are_distinct(make_scorer: MakeScorer) -> None:
    rankings = run(make_scorer(5, 12, torch.Generator().manual_seed(1)), vectors_of(300, 12), k=40)
    assert len(rankings) == 5
    for ranking in rankings:
        scores = [score for _, score in ranking]
        assert len(ranking) == 40
        assert scores == sorted(scores, reverse=True)
        assert len({doc_id for doc_id, _ in ranking}) == 40


def test_ten_line_numpy_search_agrees() -> None:
    scorer = q_net_scorer(4, 9, torch.Generator().manual_seed(2))
    vectors, ids = vectors_of(200, 9), names(200)
    rankings = run(scorer, vectors, k=200)
    for query, net in enumerate(scorer._q_nets):
        scores = np.tanh(vectors.astype(np.float64) @ net.matrix.double().numpy())
        scores = (scores @ net.vector.double().numpy())[:, 0]
        order = sorted(range(200), key=lambda i: (-scores[i], ids[i]))
        assert [doc_id for doc_id, _ in rankings[query]] == [ids[i] for i in order]
        np.testing.assert_allclose([s for _, s in rankings[query]], scores[order], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 150),
    dim=st.integers(1, 17),
    q=st.integers(1, 5),
    k=st.integers(1, 200),
    cuts=st.lists(st.integers(0, 150), max_size=5),
    kind=st.sampled_from(sorted(SCORERS)),
    levels=st.integers(1, 4),
)
def test_shards_and_query_batches_change_nothing(
    n: int, dim: int, q: int, k: int, cuts: list[int], kind: str, levels: int
) -> None:
    """Bit-equal rankings for any cut of the corpus and any cut of the queries, ties included."""
    vectors = np.round(vectors_of(n, dim, seed=n) * levels) / levels
    scorer = SCORERS[kind](q, dim, torch.Generator().manual_seed(3))
    whole = run(scorer, vectors, k=k, block_rows=16)
    assert run(scorer, vectors, k=k, cuts=[c for c in cuts if c <= n], block_rows=16) == whole
    if isinstance(scorer, QNetScorer):
        alone = [QNetScorer([net], dim) for net in scorer._q_nets]
        assert [run(one, vectors, k=k, block_rows=16)[0] for one in alone] == whole


def test_many_query_vectors_score_as_one_alone() -> None:
    queries = torch.randn((70, 24), generator=torch.Generator().manual_seed(4))
    vectors = vectors_of(500, 24)
    together = run(InnerProductScorer(queries), vectors, k=30)
    for i in (0, 31, 32, 69):
        assert run(InnerProductScorer(queries[i : i + 1]), vectors, k=30)[0] == together[i]


def test_ties_are_broken_by_document_id(make_scorer: MakeScorer) -> None:
    # 13 wide makes the hidden layer 16: with odd widths SIMD tails may round equal rows apart.
    vectors = np.tile(vectors_of(1, 13), (500, 1))
    scorer = make_scorer(2, 13, torch.Generator().manual_seed(5))
    rankings = run(scorer, vectors, k=10, cuts=[3, 77])
    for ranking in rankings:
        assert [doc_id for doc_id, _ in ranking] == sorted(names(500))[:10]


def test_k_larger_than_the_corpus_gives_the_corpus(make_scorer: MakeScorer) -> None:
    rankings = run(make_scorer(1, 4, torch.Generator().manual_seed(6)), vectors_of(7, 4), k=1000)
    assert len(rankings[0]) == 7


def test_one_document(make_scorer: MakeScorer) -> None:
    rankings = run(make_scorer(3, 4, torch.Generator().manual_seed(7)), vectors_of(1, 4), k=5)
    assert [len(ranking) for ranking in rankings] == [1, 1, 1]


def test_no_queries_and_no_documents(make_scorer: MakeScorer) -> None:
    generator = torch.Generator().manual_seed(8)
    assert run(make_scorer(0, 4, generator), vectors_of(5, 4), k=5) == []
    assert run(make_scorer(2, 4, generator), vectors_of(0, 4), k=5) == [[], []]


def test_float16_vectors_score_as_their_float32_values(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(2, 8, torch.Generator().manual_seed(9))
    halves = vectors_of(100, 8).astype(np.float16)
    assert run(scorer, halves, k=20) == run(scorer, halves.astype(np.float32), k=20)


def test_bfloat16_scores_are_near(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(1, 16, torch.Generator().manual_seed(10))
    if isinstance(scorer, InnerProductScorer):
        scorer = InnerProductScorer(
            torch.randn((1, 16), generator=torch.Generator().manual_seed(10)).bfloat16()
        )
    vectors = vectors_of(50, 16)
    coarse = dict(run(scorer, vectors, k=50, dtype=torch.bfloat16)[0])  # type: ignore[arg-type]
    assert len(coarse) == 50
    assert all(np.isfinite(score) for score in coarse.values())


def test_a_wrong_width_is_refused(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(1, 8, torch.Generator().manual_seed(11))
    with pytest.raises(ModelError, match=r"6 wide.*takes 8"):
        run(scorer, vectors_of(10, 6), k=3)


def test_a_score_that_is_not_finite_names_the_document(make_scorer: MakeScorer) -> None:
    vectors = vectors_of(10, 8)
    vectors[7] = np.nan
    scorer = make_scorer(1, 8, torch.Generator().manual_seed(12))
    with pytest.raises(ModelError, match=names(10)[7]):
        run(scorer, vectors, k=3)


def test_k_below_one_is_refused(make_scorer: MakeScorer) -> None:
    scorer = make_scorer(1, 8, torch.Generator().manual_seed(13))
    with pytest.raises(ModelError, match="at least 1"):
        run(scorer, vectors_of(10, 8), k=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_scores_as_the_cpu_does() -> None:
    queries = torch.randn((3, 16), generator=torch.Generator().manual_seed(14))
    vectors, device = vectors_of(200, 16), torch.device("cuda")
    here = run(InnerProductScorer(queries), vectors, k=200)
    there = run(InnerProductScorer(queries.to(device)), vectors, k=200, device=device)  # type: ignore[arg-type]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose([s for _, s in one], [s for _, s in other], atol=1e-3)
