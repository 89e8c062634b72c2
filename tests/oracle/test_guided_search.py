"""Guided search against what its first step is on paper, in ten lines of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hypencli.engine.corpus import Ordinals, VectorCorpus, Vectors
from hypencli.engine.exact import ExactEngine
from hypencli.engine.guided import GuidedEngine, fit
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.scorers import InnerProductScorer, QNetScorer, Scorer

N, DIM, K = 3000, 24, 100
FIRST, BATCH = 25, 20
"""Documents of the first step and of a later batch, of the default shares of ``K``."""


class Recording(VectorCorpus):
    """Documents that remember which of them were asked for, in order."""

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(vectors)
        self.asked: list[list[int]] = []

    def vectors(self, ordinals: Ordinals, /) -> Vectors:
        self.asked.append(ordinals.tolist())
        return super().vectors(ordinals)


class LinearNet:
    """An exactly linear q-net, ``x w + b``."""

    dim = DIM

    def __init__(self, weights: torch.Tensor, bias: float) -> None:
        self.weights, self.bias = weights, bias

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors @ self.weights.unsqueeze(-1).to(vectors.dtype) + self.bias


class TanhNet:
    """A q-net that is not linear, ``tanh(x W) v``."""

    dim = DIM

    def __init__(self, generator: torch.Generator) -> None:
        self.matrix = torch.randn(DIM, 40, generator=generator) / 5
        self.vector = torch.randn(40, 1, generator=generator)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.tanh(vectors @ self.matrix) @ self.vector


def documents(n: int = N) -> np.ndarray:
    """Around a centre that is not the origin, of different spreads."""
    random = np.random.default_rng(0)
    spread = np.linspace(0.2, 2, DIM)
    return (random.normal(size=(n, DIM)) * spread + random.normal(size=DIM)).astype(np.float32)


def slope_of(net: TanhNet, vectors: np.ndarray) -> np.ndarray:
    """The slope of a q-net at the mean vector, by differences."""
    matrix, vector = net.matrix.double().numpy(), net.vector.double().numpy()[:, 0]

    def score(point: np.ndarray) -> float:
        return float(np.tanh(point @ matrix) @ vector)

    centre, steps = vectors.astype(np.float64).mean(axis=0), 1e-6 * np.eye(DIM)
    return np.array([score(centre + step) - score(centre - step) for step in steps]) / 2e-6


def best(vectors: np.ndarray, weights: np.ndarray, count: int) -> list[int]:
    """The documents with the largest inner products."""
    return sorted(np.argsort(-(vectors.astype(np.float64) @ weights))[:count].tolist())


def linear_scorer(q: int) -> QNetScorer:
    generator = torch.Generator().manual_seed(1)
    return QNetScorer(
        [LinearNet(torch.randn(DIM, generator=generator), 3.0) for _ in range(q)], DIM
    )


@pytest.mark.parametrize("query", range(4))
def test_the_first_documents_are_those_that_the_slope_ranks_first(query: int) -> None:
    generator = torch.Generator().manual_seed(query)
    net, corpus = TanhNet(generator), Recording(documents())
    GuidedEngine(corpus, GuidedOptions(budget=FIRST)).search(QNetScorer([net], DIM), k=K)
    centre, scored, *_ = corpus.asked
    assert centre == list(range(N)), "the centre is that of the whole of a small corpus"
    assert scored == best(documents(), slope_of(net, documents()), FIRST)


@pytest.mark.parametrize("gain", [0.2, 0.0])
@pytest.mark.parametrize("kind", ["q-net", "inner product"])
def test_a_linear_scorer_is_searched_exactly(kind: str, gain: float) -> None:
    """With k evaluations, and one batch more to see that nothing is gained."""
    linear = linear_scorer(6)
    scorer: Scorer = linear
    if kind == "inner product":
        scorer = InnerProductScorer(torch.stack([net.weights for net in linear._q_nets]))
    corpus = VectorCorpus(documents())
    searched = GuidedEngine(corpus, GuidedOptions(gain=gain)).search(scorer, k=K)
    assert searched.rankings == ExactEngine(corpus).search(scorer, k=K).rankings
    assert searched.evaluations.tolist() == [K + BATCH] * 6
    assert searched.iterations.tolist() == [3] * 6


def test_a_budget_of_k_is_enough_for_a_linear_scorer() -> None:
    corpus, scorer = VectorCorpus(documents()), linear_scorer(6)
    searched = GuidedEngine(corpus, GuidedOptions(budget=K)).search(scorer, k=K)
    assert searched.rankings == ExactEngine(corpus).search(scorer, k=K).rankings
    assert searched.evaluations.tolist() == [K] * 6


def test_later_steps_find_what_the_slope_has_missed() -> None:
    """At the same cost; and no query is led away by what its first documents have taught."""
    vectors = documents(12_000)
    corpus, budget = VectorCorpus(vectors), 600
    nets = [TanhNet(torch.Generator().manual_seed(seed)) for seed in range(8)]
    scorer = QNetScorer(nets, DIM)
    wanted = [{doc_id for doc_id, _ in r} for r in ExactEngine(corpus).search(scorer, k=K).rankings]
    searched = GuidedEngine(corpus, GuidedOptions(budget=budget)).search(scorer, k=K).rankings
    guided = [len(some & {d for d, _ in r}) / K for some, r in zip(wanted, searched, strict=True)]
    gradients = [set(map(str, best(vectors, slope_of(net, vectors), budget))) for net in nets]
    alone = [len(some & other) / K for some, other in zip(wanted, gradients, strict=True)]
    assert np.mean(guided) > np.mean(alone) + 0.02
    assert min(guided) > 0.6


def least_squares(
    weights: np.ndarray, vectors: np.ndarray, scores: np.ndarray, ridge: float
) -> np.ndarray:
    """Ridge regression held to half of the weights before, or more, by the normal equations."""
    x, y = vectors - vectors.mean(axis=0), scores - scores.mean()
    along = x @ weights
    held = max(0.5, (along @ y) / (along @ along)) * weights
    penalty = ridge * (x**2).sum() / len(x)
    return held + np.linalg.solve(x.T @ x + penalty * np.eye(len(weights)), x.T @ (y - x @ held))


@pytest.mark.parametrize("m", [16, 60, 384])
@pytest.mark.parametrize("ridge", [0.03, 0.3, 3])
@pytest.mark.parametrize("sense", [1, 0, -1])
def test_a_fit_is_the_ridge_regression_that_it_says_it_is(m: int, ridge: float, sense: int) -> None:
    """Where the weights before were right, where they say nothing, and where they were wrong."""
    random = np.random.default_rng(m)
    vectors, truth = random.normal(size=(m, DIM)) + 1, random.normal(size=DIM)
    weights = sense * truth + random.normal(size=DIM) / 2
    scores = np.tanh(vectors @ truth) + 0.1 * random.normal(size=m)
    actual = fit(*map(torch.from_numpy, (weights, vectors, scores)), ridge)
    expected = least_squares(weights, vectors, scores, ridge)
    # Conjugate gradients stop where a guide is good enough.
    assert np.linalg.norm(actual.numpy() - expected) <= 0.1 * np.linalg.norm(expected)
    cosine = torch.cosine_similarity(actual, torch.from_numpy(expected), dim=0)
    assert cosine > 0.995


@pytest.mark.parametrize("query", range(4))
def test_the_pool_is_chosen_by_what_the_first_documents_have_taught(query: int) -> None:
    generator = torch.Generator().manual_seed(query)
    net, vectors, size = TanhNet(generator), documents(12_000), 1_000
    corpus, options = Recording(vectors), GuidedOptions(budget=K)
    GuidedEngine(corpus, options).search(QNetScorer([net], DIM), k=K)
    pool = set(next(asked for asked in corpus.asked[1:] if len(asked) == size))
    slope = slope_of(net, vectors)
    first = best(vectors, slope, FIRST)
    scores = net(torch.from_numpy(vectors[first]))[:, 0].double().numpy()
    fitted = least_squares(slope, vectors[first].astype(np.float64), scores, options.ridge)
    by_fit, by_slope = (set(best(vectors, weights, size)) for weights in (fitted, slope))
    # The fit is one by conjugate gradients, which stop where a guide is good enough.
    assert len(pool & by_fit) > 0.93 * size
    assert len(pool & by_slope) < 0.8 * size


@pytest.mark.parametrize(
    ("vectors", "scores"),
    [
        (np.ones((20, DIM)), np.arange(20.0)),
        (np.eye(20, DIM), np.full(20, 2.0)),
        (np.ones((1, DIM)), np.array([3.0])),
    ],
    ids=["equal vectors", "equal scores", "one document"],
)
def test_a_fit_of_nothing_to_learn_is_finite(vectors: np.ndarray, scores: np.ndarray) -> None:
    for weights in (torch.ones(DIM), torch.zeros(DIM)):
        actual = fit(weights, torch.tensor(vectors).float(), torch.tensor(scores).float(), 0.3)
        assert torch.isfinite(actual).all()
