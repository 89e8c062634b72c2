"""The best k of a stream, against sorting everything."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hypencli.engine.topk import TopK


@given(
    scores=st.lists(st.integers(-3, 3).map(float), min_size=0, max_size=60),
    k=st.integers(1, 70),
    size=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_equals_a_full_sort(scores: list[float], k: int, size: int, seed: int) -> None:
    ids = [f"{i:03d}" for i in np.random.default_rng(seed).permutation(len(scores))]
    top = TopK(k, lambda ordinals: [ids[i] for i in ordinals])
    for start in range(0, len(scores), size):
        top.add(np.array(scores[start : start + size], dtype=np.float32), start)
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], ids[i]))[:k]
    ordinals, kept = top.kept
    assert sorted(ordinals.tolist()) == sorted(expected)
    assert [scores[i] for i in ordinals] == kept.tolist()
    assert top.ranking() == [(ids[i], scores[i]) for i in expected]


@given(scores=st.lists(st.integers(-3, 3).map(float), max_size=60), k=st.integers(1, 70))
def test_some_in_any_order_equal_all_in_order(scores: list[float], k: int) -> None:
    ids = [f"{i:03d}" for i in range(len(scores))]
    top = TopK(k, lambda ordinals: [ids[i] for i in ordinals])
    places = np.random.default_rng(0).permutation(len(scores))
    values = np.array(scores, dtype=np.float32)
    for some in np.array_split(places, 4):
        top.add_some(values[some], some)
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], ids[i]))[:k]
    assert top.ranking() == [(ids[i], scores[i]) for i in expected]


def test_the_score_of_the_last_place() -> None:
    top = TopK(2, lambda ordinals: [str(i) for i in ordinals])
    top.add(np.array([3.0], dtype=np.float32), 0)
    assert top.last == -np.inf
    top.add(np.array([1.0, 2.0], dtype=np.float32), 1)
    assert top.last == 2.0


def test_ids_are_read_only_where_scores_tie() -> None:
    asked: list[int] = []

    def doc_ids(ordinals: np.ndarray) -> list[str]:
        asked.extend(ordinals.tolist())
        return [str(i) for i in ordinals]

    top = TopK(3, doc_ids)
    top.add(np.arange(1000, dtype=np.float32), 0)
    assert asked == []
    top.ranking()
    assert sorted(asked) == [997, 998, 999]
