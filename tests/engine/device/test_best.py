"""The best k on a device: those of a sort, ties by document id, in blocks of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypencli.engine.device.best import BestOnDevice


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 80),
    q=st.integers(1, 4),
    k=st.integers(1, 90),
    levels=st.integers(1, 40),
    size=st.integers(1, 90),
    seed=st.integers(0, 99),
)
def test_a_sort_by_score_and_id_agrees(
    device: torch.device, n: int, q: int, k: int, levels: int, size: int, seed: int
) -> None:
    """With many equal scores: of few levels, of which zero has two signs."""
    drawn = np.random.default_rng(seed)
    scores = (drawn.integers(-levels, levels + 1, size=(q, n)) / 4).astype(np.float32)
    scores[scores == 0] *= drawn.choice([-1.0, 1.0])
    ids = [f"d{i:03d}" for i in drawn.permutation(n)]
    best = BestOnDevice(q, k, device)
    for first in range(0, n, size):
        best.add(torch.from_numpy(scores[:, first : first + size]).to(device), first)
    tops = best.on_host(lambda ordinals: [ids[i] for i in ordinals.tolist()])
    for top, row in zip(tops, scores.tolist(), strict=True):
        expected = sorted(zip(ids, row, strict=True), key=lambda pair: (-pair[1], pair[0]))
        assert top.ranking() == expected[:k]


def test_no_query_and_no_document(device: torch.device) -> None:
    assert BestOnDevice(0, 3, device).on_host(lambda ordinals: []) == []
    assert [top.ranking() for top in BestOnDevice(2, 3, device).on_host(lambda _: [])] == [[], []]


@pytest.mark.parametrize("k", [1, 50])
def test_what_falls_below_the_kth_score_is_dropped(device: torch.device, k: int) -> None:
    """Scores that fall: after the first block the device keeps k documents a query."""
    best = BestOnDevice(1, k, device)
    for first in range(0, 1000, 100):
        best.add(torch.arange(1000.0, 0, -1, device=device)[None, first : first + 100], first)
    assert len(best._score) == k
