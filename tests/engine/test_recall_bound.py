"""The bound on the recall, from residuals of a sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from hypencli.engine.recall_bound import (
    Floats,
    Residuals,
    Unscored,
    allowed,
    most,
    recall_bound,
)

N, K = 4_000, 100

Noise = Callable[[np.random.Generator, int], Floats]

NOISES: dict[str, Noise] = {
    "normal": lambda drawn, n: drawn.normal(size=n),
    "exponential tails": lambda drawn, n: drawn.laplace(size=n),
    "skewed": lambda drawn, n: drawn.normal(size=n) ** 2,
}


def simulated(noise: Noise, share: float, seed: int) -> tuple[float, float]:
    """The recall of a search that scores what a surrogate ranks first, and its bound."""
    drawn = np.random.default_rng(seed)
    expected = drawn.normal(size=N)
    scores = expected + share * noise(drawn, N)
    order = np.argsort(-expected)
    scored = np.zeros(N, dtype=bool)
    scored[order[: K + 50]] = True
    strata = np.split(order, np.cumsum([K + 50, 200, 400, 800]))[1:]
    sample = np.concatenate([drawn.choice(each, 24, replace=False) for each in strata])
    scored[sample] = True
    best = np.sort(scores[scored])[::-1][:K]
    left = ~scored
    bound = recall_bound(
        best,
        K,
        Unscored(expected[left], np.ones(int(left.sum()))),
        Residuals(expected[sample], scores[sample]),
        0.95,
    )
    last = np.sort(scores)[-K]
    return float((scores[scored] >= last).sum()) / K, bound


@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize("noise", NOISES)
def test_the_bound_holds_for_its_share_of_searches(noise: str, share: float) -> None:
    """Of 400 searches at least 95 % hold; and a bound is above a third of the recall."""
    pairs = np.array([simulated(NOISES[noise], share, seed) for seed in range(400)])
    assert (pairs[:, 0] >= pairs[:, 1] - 1e-9).mean() >= 0.95
    assert pairs[:, 1].mean() > pairs[:, 0].mean() * (0.9 if share < 0.1 else 0.33)


def test_probabilities_are_above_those_of_the_noise() -> None:
    drawn = np.random.default_rng(1)
    expected = drawn.normal(size=200)
    residuals = Residuals(expected, expected + 0.5 * drawn.normal(size=200))
    gaps = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    shares = np.array([float(residuals.reaching(gap, np.zeros(1))[0]) for gap in gaps])
    assert (shares >= stats.norm.sf(gaps / 0.5)).all()
    assert (np.diff(shares) < 0).all()
    assert shares[-1] < 0.02


def test_a_perfect_surrogate_leaves_nothing_to_miss() -> None:
    expected = np.linspace(1, 0, 1_000)
    residuals = Residuals(expected[100:160], expected[100:160])
    unscored = Unscored(expected[160:], np.ones(840))
    assert recall_bound(expected[:100], 100, unscored, residuals, 0.95) == 1.0


def test_documents_that_tie_with_the_last_one_may_be_missing() -> None:
    scores = np.ones(500)
    residuals = Residuals(scores[:48], scores[:48])
    bound = recall_bound(scores[:20], 20, Unscored(scores, np.ones(500)), residuals, 0.95)
    assert bound == 0.0


def test_all_documents_scored_is_a_recall_of_one() -> None:
    residuals = Residuals(np.arange(48.0), np.arange(48.0))
    none = Unscored(np.empty(0), np.empty(0))
    assert recall_bound(np.arange(3.0)[::-1], 10, none, residuals, 0.95) == 1.0


def test_one_document_can_stand_for_many() -> None:
    """Ten thousand like it may hold some of the best where one of them would not."""
    drawn = np.random.default_rng(2)
    expected = drawn.normal(size=96)
    residuals = Residuals(expected, expected + 0.3 * drawn.normal(size=96))
    best, place = np.full(100, 1.5), np.zeros(1)
    one = recall_bound(best, 100, Unscored(place, np.ones(1)), residuals, 0.95)
    many = recall_bound(best, 100, Unscored(place, np.full(1, 1e4)), residuals, 0.95)
    assert one >= 0.99 > many


@pytest.mark.parametrize("others", [0, 1, 5, 50])
def test_an_allowed_expectation_is_the_largest_that_keeps_the_count(others: int) -> None:
    largest = allowed(others, 0.95)
    assert most(largest * 0.999, 0.95) == others
    assert most(largest * 1.001, 0.95) == others + 1
