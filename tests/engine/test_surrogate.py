"""Surrogates: what they are made of, and how a pass over a corpus scores them."""

from __future__ import annotations

import numpy as np
import torch

from hypencli.engine.surrogate import LinearScorer, Surrogate, SurrogateScorer

DIM = 24


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed)) + 0.3


def spread(of: torch.Tensor) -> torch.Tensor:
    centred = of - of.mean(dim=0)
    return centred.t() @ centred / len(centred)


def second_order(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and a matrix of rank 3 of a function of second order."""
    drawn = torch.Generator().manual_seed(seed)
    ways = torch.randn(3, DIM, generator=drawn)
    matrix = (ways.t() * torch.tensor([1.0, -0.5, 0.3])) @ ways
    return torch.randn(DIM, generator=drawn), matrix


def surrogate(seed: int) -> Surrogate:
    """From the gradients of a function of second order at 64 vectors."""
    weights, matrix = second_order(seed)
    points = vectors(64, 1)
    return Surrogate.of(weights + 2 * points @ matrix, points, spread(vectors(500)))


def test_gradients_give_a_function_of_second_order() -> None:
    weights, matrix = second_order(0)
    some = vectors(200, 2)
    scores = some @ weights + ((some @ matrix) * some).sum(dim=1)
    expected = surrogate(0).expected(some)
    missed = (scores - scores.mean()) - (expected - expected.mean())
    assert missed.abs().max() < 0.02 * scores.std()


def test_gradients_that_do_not_change_give_a_linear_function() -> None:
    weights = torch.linspace(-1, 1, DIM)
    points = vectors(64, 1)
    linear = Surrogate.of(weights.expand(64, -1), points, spread(vectors(500)))
    some = vectors(50, 2)
    assert torch.allclose(linear.expected(some), some @ weights, atol=1e-4)


def test_a_fit_brings_it_nearer_to_the_scores() -> None:
    weights, matrix = second_order(0)
    some = vectors(900, 2)
    scores = some @ (weights + 0.5 * torch.randn(DIM)) + ((some @ matrix) * some).sum(dim=1)
    before = surrogate(0)
    after = before.fitted(some[:600], scores[:600], 0.01)

    def error(one: Surrogate) -> float:
        missed = scores[600:] - one.expected(some[600:])
        return float((missed - missed.mean()).square().mean())

    assert error(after) < 0.2 * error(before)


def test_a_pass_scores_what_a_surrogate_expects_whatever_the_other_queries_are() -> None:
    some, each = vectors(512, 3), [surrogate(seed) for seed in range(11)]
    together = SurrogateScorer(each, torch.device("cpu"))(some)
    assert together.shape == (11, 512)
    for row, one in zip(together, each, strict=True):
        assert torch.allclose(row, one.expected(some), atol=1e-3)
        assert torch.equal(SurrogateScorer([one], torch.device("cpu"))(some)[0], row)


def test_linear_surrogates_score_the_same_whatever_the_other_queries_are() -> None:
    some = vectors(512, 3)
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(19, DIM)).astype(np.float32))
    together = LinearScorer(weights)(some)
    assert torch.allclose(together, weights @ some.t(), atol=1e-4)
    for query in (0, 7, 8, 18):
        assert torch.equal(LinearScorer(weights[[query]])(some)[0], together[query])
