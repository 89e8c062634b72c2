"""What the approximate builders share: rows without the document itself, and recall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.engine.neighbours.libraries import by_hnsw, recall, without_self
from hypencli.engine.neighbours.settings import Hnsw
from hypestore.graphs.draft import check_neighbours


@given(
    rows=st.lists(st.permutations(range(8)), min_size=1, max_size=8),
    width=st.integers(1, 8),
    k=st.integers(1, 9),
    lost=st.sets(st.integers(0, 7)),
)
def test_rows_lose_the_document_itself_and_what_is_no_document(
    rows: list[list[int]], width: int, k: int, lost: set[int]
) -> None:
    actual = np.array([row[:width] for row in rows], dtype=np.int32)
    actual[np.isin(actual, list(lost))] = -1
    kept = without_self(actual, 2, k)
    assert kept.shape == (len(rows), k)
    for i, (row, before) in enumerate(zip(kept.tolist(), actual.tolist(), strict=True)):
        wanted = [one for one in before if one not in (-1, i + 2)][:k]
        assert row == wanted + [-1] * (k - len(wanted))


@pytest.mark.parametrize(
    ("found", "exact", "share"),
    [
        ([[1, 2, 3]], [[3, 2, 1]], 1.0),
        ([[1, 2, 9]], [[1, 2, 3]], 2 / 3),
        ([[1, 2, -1], [0, 5, 6]], [[1, 2, -1], [0, 2, -1]], 3 / 4),
        ([[-1, -1]], [[4, -1]], 0.0),
        ([[-1, -1]], [[-1, -1]], 1.0),
    ],
)
def test_recall_counts_neighbours_of_all_rows(
    found: list[list[int]], exact: list[list[int]], share: float
) -> None:
    assert recall(np.array(found), np.array(exact)) == pytest.approx(share)


LIBRARIES = [pytest.param("hnswlib", marks=pytest.mark.hnswlib), "faiss"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_index_that_does_not_reach_all_gives_what_it_reaches(
    library: str, in_memory: Any, vectors: Any
) -> None:
    """hnswlib gives nothing for a query that reaches fewer documents than it asks for."""
    corpus = in_memory(vectors(300, 8))
    poor = Hnsw(m=2, ef_construction=2, ef_search=1, seed=0)
    actual = np.concatenate(list(by_hnsw(corpus, "l2", k=150, settings=poor, library=library)))
    assert actual.shape == (300, 150)
    assert (actual == -1).any()
    assert check_neighbours(actual, 0, 300) == (actual >= 0).sum() > 0
