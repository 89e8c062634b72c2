"""What an index finds for a surrogate, and what the sample shows that it misses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.index_pool import CandidatePool
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.recall_bound import missed_share
from hypencli.engine.scorers import QNetScorer
from hypencli.engine.surrogate import Surrogate
from hypencli.engine.vector_index.index import LibraryIndex, build_index
from hypencli.engine.vector_index.sample import IndexSample
from hypencli.engine.vector_index.spec import IndexSpec

pytest.importorskip("faiss", reason="indexes need faiss: pip install faiss-cpu")

N, DIM, K = 12_000, 32, 100


class Curved:
    """A linear q-net and a squared one, which varies as much."""

    dim = DIM

    def __init__(self, corpus: np.ndarray, seed: int) -> None:
        drawn = np.random.default_rng(seed)
        first, second = (corpus[drawn.integers(N)] - corpus.mean(axis=0) for _ in range(2))
        self._linear = torch.from_numpy(first / (corpus @ first).std())
        self._other = torch.from_numpy(second)
        self._height = 1 / float(((corpus @ second) ** 2).std())

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        bent = self._height * (vectors @ self._other) ** 2
        return (vectors @ self._linear + bent).unsqueeze(-1)


@pytest.fixture(scope="module")
def corpus() -> VectorCorpus:
    drawn = np.random.default_rng(0)
    parts = 1 / np.sqrt(1 + np.arange(DIM))
    centres = drawn.normal(size=(60, DIM)) * parts
    vectors = centres[drawn.integers(60, size=N)] + 0.5 * drawn.normal(size=(N, DIM)) * parts
    return VectorCorpus((vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32))


def indexed(corpus: VectorCorpus, **options: int) -> LibraryIndex:
    spec = IndexSpec("faiss-ivf", {"threads": 1, "nlist": 64, **options})
    index = build_index(corpus.blocks, spec, n=N, dim=DIM)
    index.sample = IndexSample.draw(corpus.vectors, N).measured(index, corpus.blocks(), N)
    return index


class Forgetful(LibraryIndex):
    """An index that does not have every tenth document, however much of it is read."""

    def search(self, queries: np.ndarray, k: int, effort: int = 1) -> tuple[np.ndarray, np.ndarray]:
        ordinals, scores = super().search(queries, k, effort)
        gone = ordinals % 10 == 0
        return np.where(gone, -1, ordinals), np.where(gone, -np.inf, scores).astype(np.float32)


def forgetful(index: LibraryIndex) -> Forgetful:
    other = Forgetful(index.spec, index._library, n=N, dim=DIM)
    other.sample = index.sample
    return other


@pytest.mark.parametrize("loses", [False, True])
def test_the_bound_holds_for_a_good_index_and_for_one_that_forgets(
    corpus: VectorCorpus, loses: bool
) -> None:
    vectors = corpus.vectors(np.arange(N)).astype(np.float32)
    scorer = QNetScorer([Curved(vectors, seed) for seed in range(12)], DIM)
    index = indexed(corpus, nprobe=8)
    engine = GuidedEngine(
        corpus, GuidedOptions(recall=0.95), index=forgetful(index) if loses else index
    )
    searched = engine.search(scorer, k=K)
    exact = ExactEngine(corpus).search(scorer, k=K).rankings
    pairs = zip(searched.rankings, exact, strict=True)
    recalls = np.array([len(dict(one).keys() & dict(best).keys()) / K for one, best in pairs])
    bounds = searched.recall_bounds
    assert bounds is not None
    assert (bounds >= 0.95).all()
    assert (recalls >= bounds - 1e-9).mean() >= 0.95
    assert searched.evaluations.mean() < N / 10


def test_by_gain_an_index_finds_what_the_passes_find(corpus: VectorCorpus) -> None:
    vectors = corpus.vectors(np.arange(N)).astype(np.float32)
    scorer = QNetScorer([Curved(vectors, seed) for seed in range(6)], DIM)
    by_pass = GuidedEngine(corpus).search(scorer, k=K)
    index = indexed(corpus, nprobe=64)  # all lists: only float16 differs
    by_index = GuidedEngine(corpus, index=index).search(scorer, k=K)
    for one, other in zip(by_pass.rankings, by_index.rankings, strict=True):
        assert len(dict(one).keys() & dict(other).keys()) >= 0.9 * K


def test_a_pool_counts_what_it_lacks() -> None:
    """Every fourth document is missed; the sample is every second one."""
    scores = -np.arange(4_000, dtype=np.float32)
    found = np.flatnonzero(np.arange(4_000) % 4)
    sample = np.arange(0, 4_000, 2)
    pool = CandidatePool.of_index((found, scores[found]), (sample, scores[sample]), 1_500)
    last = np.sort(found)[1_499]  # of what was found, the 1,500 best are kept
    assert np.array_equal(np.flatnonzero(pool.within), np.flatnonzero(sample <= last))
    assert set(pool.ordinals) == {*found[:1_500], *sample[sample <= last]}
    assert pool.missed is not None
    # Of the sample, half of the documents are missed, and the limit is a little above that.
    share = pool.missed / (1 + pool.missed)
    assert (share > 0.5).all()
    assert (share < 0.56).all()


def test_the_limit_of_a_share_is_that_of_the_binomial_distribution() -> None:
    for missed, of in ((0, 50), (3, 50), (49, 50)):
        limit = missed_share(missed, of)
        assert stats.binom.cdf(missed, of, limit) == pytest.approx(0.1)
    assert missed_share(50, 50) == 1.0
    assert 0 < missed_share(0, 0) < 1


def test_tangents_touch_the_surrogate_and_cover_its_best(corpus: VectorCorpus) -> None:
    vectors = torch.from_numpy(corpus.vectors(np.arange(2_000)).astype(np.float32))
    net = Curved(corpus.vectors(np.arange(N)).astype(np.float32), 3)
    points = vectors[:64].clone().requires_grad_()
    (gradients,) = torch.autograd.grad(net(points).sum(), points)
    surrogate = Surrogate.of(gradients, vectors[:64], torch.cov(vectors.t()))
    expected = surrogate.expected(vectors)
    best = vectors[expected.topk(200).indices]
    few, many = (surrogate.tangents(best, most, 0.0) for most in (1, 8))
    assert (len(few), len(many)) == (1, 8)
    # The gradient of the surrogate, by finite differences, at its best document.
    point = vectors[expected.argmax()].double()
    steps = 1e-2 * torch.eye(DIM, dtype=torch.double)
    ahead, behind = (
        surrogate.expected((point + sign * steps).float()).double() for sign in (1, -1)
    )
    torch.testing.assert_close(few[0].double(), (ahead - behind) / 2e-2, rtol=0.02, atol=0.02)
    wanted = set(expected.topk(100).indices.tolist())
    covered = [
        len(wanted & set((tangents @ vectors.t()).topk(300).indices.flatten().tolist())) / 100
        for tangents in (few, many)
    ]
    assert covered[0] < covered[1]
    assert covered[1] >= 0.95
