"""Exact search by surrogates: what is near to linear is fast, all else falls back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hypencli.engine.certified import ErrorBoundedEngine, FirstPassOptions, SurrogateOptions
from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.results import FirstPassCosts
from hypencli.engine.scorers import QNetScorer

N, DIM = 6000, 24
Function = Callable[[torch.Tensor], torch.Tensor]


class Net:
    """A q-net that is a function of vectors ``[n, d]``; its products are of one row each."""

    dim = DIM

    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        return self._function(vectors[0])[None, :, None]


def unit(n: int = N, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)) / np.sqrt(1 + np.arange(DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def linear(x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=DIM).astype(np.float32))
    return (x * weights).sum(dim=1)


def errors_of(x: torch.Tensor) -> torch.Tensor:
    """Numbers from 0 to 1 that no function of second order follows, by the first column."""
    return (x[:, 0].detach().double() * 123_457).frac().abs().clamp(1e-9, 1 - 1e-9).float()


def search(
    vectors: np.ndarray, *functions: Function, k: int = 10, **options: Any
) -> tuple[FirstPassCosts, bool]:
    """The costs of the search, and whether its rankings are those of float32."""
    corpus, scorer = VectorCorpus(vectors), QNetScorer([Net(each) for each in functions], DIM)
    settings = SurrogateOptions(**{"fitted": 256, "held": 256, **options})
    engine = ErrorBoundedEngine(corpus, FirstPassOptions(dtype=None, surrogate=settings))
    actual = engine.search(scorer, k=k)
    assert actual.scan is not None
    assert actual.evaluations.tolist() == [len(vectors)] * len(functions)
    return actual.scan, actual.rankings == ExactEngine(corpus).search(scorer, k=k).rankings


def squared(x: torch.Tensor) -> torch.Tensor:
    return linear(x) + 2 * linear(x, 1).square()


@pytest.mark.parametrize("function", [linear, squared])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_functions_of_second_order_need_few_documents(function: Function, k: int) -> None:
    costs, same = search(unit(), function, k=k)
    assert same
    assert not costs.fell_back.any()
    assert costs.dtypes == ("surrogate",)
    assert costs.rescored[0] < 2 * 256 + max(256, k) + 600
    assert costs.risk.tolist() == [SurrogateOptions().risk]


def wild(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(40 * linear(x)) + torch.cos(60 * linear(x, 1))


def heavy(x: torch.Tensor) -> torch.Tensor:
    share = errors_of(x)
    return linear(x) + 0.3 * torch.sign(share - 0.5) * ((1 - (2 * share - 1).abs()) ** (-1 / 2) - 1)


@pytest.mark.parametrize("function", [wild, heavy])
def test_what_a_surrogate_cannot_follow_falls_back(function: Function) -> None:
    costs, same = search(unit(), function, linear)
    assert same
    assert costs.fell_back.tolist() == [True, False]
    assert costs.risk.tolist() == [0, SurrogateOptions().risk]


def test_many_queries_that_fall_back_end_the_attempt() -> None:
    """A group shows it; those after it have no float32 score before the pass of all."""
    costs, same = search(unit(), *[wild] * 8)
    assert same
    assert costs.fell_back.all()
    assert costs.rescored[0] > 0
    assert costs.rescored[-1] == 0


@pytest.mark.parametrize("k", [5, 40])
def test_a_far_outlier_is_found(k: int) -> None:
    """Its score is far above all others, and so is what no surrogate expects of it."""
    vectors = unit()
    vectors[777] *= 50
    costs, same = search(vectors, lambda x: squared(x) + linear(x).abs() ** 3, k=k)
    assert same
    assert not costs.fell_back.any()


def test_a_cluster_that_the_sample_misses_is_found() -> None:
    """Of usual length, where no other document points; only there the q-net bends."""
    vectors = unit()
    vectors[:, -1] *= 0.01
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    few = np.random.default_rng(1).choice(N, 12, replace=False)
    vectors[few, -1] = 0.9
    vectors[few] /= np.linalg.norm(vectors[few], axis=1, keepdims=True)
    vectors = vectors.astype(np.float32)

    def bent(x: torch.Tensor) -> torch.Tensor:
        return linear(x * 1.0) - 8 * x[:, -1] + 300 * torch.relu(x[:, -1] - 0.3)

    costs, same = search(vectors, bent)
    assert same
    assert not costs.fell_back.any()


def test_copies_are_ranked_like_in_float32() -> None:
    vectors = unit()
    vectors[3000:] = np.repeat(vectors[:30], 100, axis=0)

    def rough(x: torch.Tensor) -> torch.Tensor:
        return linear(x) + 0.1 * torch.special.ndtri(errors_of(x))

    for k in (10, 150):
        _, same = search(vectors, rough, squared, k=k)
        assert same


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_few_queries_miss_a_document(spread: float) -> None:
    """By normal errors: over 100 queries no document is missing, and most are settled."""
    settled = 0
    vectors = unit(4000)

    def rough(seed: int) -> Function:
        return lambda x: linear(x, seed) + spread * torch.special.ndtri(errors_of(x))

    for start in range(0, 100, 50):
        costs, same = search(vectors, *[rough(seed) for seed in range(start, start + 50)], k=20)
        assert same
        settled += int((~costs.fell_back).sum())
    assert settled > 50


def test_a_surrogate_that_is_not_so_much_faster_is_given_up() -> None:
    costs, same = search(unit(), linear, least_ratio=1e9)
    assert same
    assert costs.fell_back.all()
    assert costs.risk.tolist() == [0]


def test_a_small_corpus_is_searched_in_float32() -> None:
    costs, same = search(unit(900), linear)
    assert same
    assert (costs.fell_back.tolist(), costs.rescored.tolist()) == ([True], [0])
