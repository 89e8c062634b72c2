"""What guided search learns from its first documents."""

from __future__ import annotations

import numpy as np
import torch

from hypencli.engine.corpus import VectorCorpus
from hypencli.engine.guided import GuidedEngine
from hypencli.engine.parameters import GuidedOptions
from hypencli.engine.scorers import QNetScorer

N, DIM, K = 6_000, 8, 20
POOL = 1_000
"""The least pool: documents outside it are never scored."""


class Misleading:
    """A linear q-net whose slope at the corpus' centre, the origin, points elsewhere."""

    dim = DIM

    def __init__(self, weights: torch.Tensor, away: torch.Tensor) -> None:
        self._weights, self._away = weights, away

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        dent = torch.tanh(1_000 * vectors @ self._away) / 500  # steep, and soon flat
        return (vectors @ self._weights + dent).unsqueeze(-1)


def test_the_pool_is_chosen_by_what_the_first_documents_have_taught() -> None:
    """The slope alone keeps a pool that lacks most of the best; one fit finds their direction."""
    random = np.random.default_rng(0)
    half = random.normal(size=(N // 2, DIM)).astype(np.float32)
    vectors = np.concatenate([half, -half])
    weights, away = torch.eye(DIM)[0], torch.eye(DIM)[1]
    scorer = QNetScorer([Misleading(weights, away)], DIM)
    slope = scorer.gradients(torch.zeros(1, DIM))[0, 0].numpy()
    best = set(np.argsort(-vectors[:, 0])[:K].tolist())
    by_slope = set(np.argsort(-(vectors @ slope))[:POOL].tolist())
    assert len(best & by_slope) < K  # the slope's own pool could not give them all

    options = GuidedOptions(first=10.0, budget=600, ridge=0.01, sample=N)
    (actual,) = GuidedEngine(VectorCorpus(vectors), options).search(scorer, k=K).rankings
    assert {int(doc_id) for doc_id, _ in actual} == best
