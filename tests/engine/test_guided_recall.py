"""Guided search to a recall that is stated: the bound holds, and it goes on until it is reached."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.exact import ExactEngine
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.results import SearchResult
from hypencli.engine.scorers import QNetScorer

N, DIM, K = 12_000, 32, 100
ROOT = Path(__file__).parents[2]

SIMULATED = ("--queries", "40", "--documents", "6000", "--width", "32", "--depth", "20", "100")


class Curved:
    """A linear q-net and a squared one; ``height`` says how much the second varies."""

    dim = DIM

    def __init__(self, corpus: np.ndarray, height: float, seed: int) -> None:
        drawn = np.random.default_rng(seed)
        first, second = (corpus[drawn.integers(N)] - corpus.mean(axis=0) for _ in range(2))
        self._linear = torch.from_numpy(first / (corpus @ first).std())
        self._other = torch.from_numpy(second)
        self._height = height / float(((corpus @ second) ** 2).std())

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        bent = self._height * (vectors @ self._other) ** 2
        return (vectors @ self._linear + bent).unsqueeze(-1)


class Noise:
    """A q-net that no surrogate predicts, but for a linear part."""

    dim = DIM

    def __init__(self, linear: float) -> None:
        self._linear = linear

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        noise = torch.sin(1_000 * vectors.sum(dim=-1, keepdim=True))
        return noise + self._linear * vectors[..., :1]


@pytest.fixture(scope="module")
def corpus() -> VectorCorpus:
    drawn = np.random.default_rng(0)
    parts = 1 / np.sqrt(1 + np.arange(DIM))
    centres = drawn.normal(size=(60, DIM)) * parts
    vectors = centres[drawn.integers(60, size=N)] + 0.5 * drawn.normal(size=(N, DIM)) * parts
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return VectorCorpus(vectors.astype(np.float32))


def curved(corpus: VectorCorpus, heights: Sequence[float]) -> QNetScorer:
    vectors = corpus.vectors(np.arange(N)).astype(np.float32)
    return QNetScorer([Curved(vectors, height, i) for i, height in enumerate(heights)], DIM)


def recalls(corpus: VectorCorpus, scorer: QNetScorer, searched: SearchResult) -> np.ndarray:
    exact = ExactEngine(corpus).search(scorer, k=K).rankings
    pairs = zip(searched.rankings, exact, strict=True)
    return np.array([len(set(dict(ranking)) & set(dict(best))) / K for ranking, best in pairs])


def test_the_bound_holds_where_plain_guided_search_misses(corpus: VectorCorpus) -> None:
    """Squared q-nets: the rule of ``gain`` stops far too early and does not say so."""
    scorer = curved(corpus, [0.5, 1.0, 1.5, 2.0] * 5)
    plain = GuidedEngine(corpus).search(scorer, k=K)
    assert recalls(corpus, scorer, plain).mean() < 0.8
    assert plain.recall_bounds is None
    searched = GuidedEngine(corpus, GuidedOptions(recall=0.95)).search(scorer, k=K)
    bounds = searched.recall_bounds
    assert bounds is not None
    assert (bounds >= 0.95).all()
    actual = recalls(corpus, scorer, searched)
    assert (actual >= bounds - 1e-9).mean() >= 0.95
    assert actual.mean() >= 0.95
    assert searched.evaluations.mean() < N / 10


def test_what_no_surrogate_predicts_is_searched_exactly(corpus: VectorCorpus) -> None:
    scorer = QNetScorer([Noise(0.0)], DIM)
    searched = GuidedEngine(corpus, GuidedOptions(recall=0.9)).search(scorer, k=K)
    assert searched.rankings == ExactEngine(corpus).search(scorer, k=K).rankings
    assert searched.evaluations.tolist() == [N]
    assert searched.recall_bounds is not None
    assert searched.recall_bounds.tolist() == [1.0]


def test_a_higher_recall_or_confidence_scores_no_less(corpus: VectorCorpus) -> None:
    scorer = QNetScorer([Noise(20.0), Noise(40.0)], DIM)
    counts = [
        GuidedEngine(corpus, GuidedOptions(recall=recall, confidence=confidence))
        .search(scorer, k=K)
        .evaluations.sum()
        for recall, confidence in ((0.5, 0.5), (0.9, 0.95), (1.0, 0.999))
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_bounds_of_the_benchmark_hold() -> None:
    """A share of ``benchmarks/approx_bound.py``: q-nets from almost linear to noise."""
    command = [sys.executable, str(ROOT / "benchmarks" / "approx_bound.py"), *SIMULATED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["family"] for line in lines} == {"near-linear", "squared", "six-layer", "random"}
    assert len(lines) == 8
    assert np.mean([line["bound_holds"] for line in lines]) >= 0.95
    assert np.mean([line["target_reached"] for line in lines]) >= 0.95
    assert min(line["bound_mean"] for line in lines) >= 0.95
    assert {line["exact"] for line in lines if line["family"] == "random"} == {40}
    assert {line["exact"] for line in lines if line["family"] == "squared"} == {0}
