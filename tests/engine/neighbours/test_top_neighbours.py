"""Keys that order documents by similarity and then by ordinal, and the k best of a row."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hypencli.engine.neighbours.top_neighbours import (
    NO_KEY,
    Nearest,
    nearest_first,
    ordinals_of,
    similarities_of,
    to_keys,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOCUMENTS = st.tuples(FLOATS, st.integers(0, 2**31 - 1))


@given(st.lists(DOCUMENTS, min_size=1, max_size=20))
def test_keys_order_by_similarity_then_lower_ordinal(documents: list[tuple[float, int]]) -> None:
    similarities = np.array([value for value, _ in documents], dtype=np.float32)
    ordinals = np.array([ordinal for _, ordinal in documents])
    keys = to_keys(similarities, ordinals)
    np.testing.assert_array_equal(similarities_of(keys), similarities)
    np.testing.assert_array_equal(ordinals_of(keys), ordinals)
    by_key = sorted(range(len(keys)), key=lambda i: -int(keys[i]))
    by_hand = sorted(range(len(keys)), key=lambda i: (-similarities[i], ordinals[i]))
    assert [documents[i] for i in by_key] == [documents[i] for i in by_hand]
    assert (keys > NO_KEY).all()


def test_no_key_is_no_document() -> None:
    keys = np.array([[NO_KEY, *to_keys(np.float32([-3.4e38, 1]), np.array([7, 2]))]])
    assert similarities_of(keys).tolist()[0][0] == -np.inf
    assert nearest_first(keys).tolist() == [[2, 7, -1]]


@given(
    similarities=st.lists(st.integers(-3, 3), min_size=1, max_size=60),
    k=st.integers(1, 12),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    transposed=st.booleans(),
)
def test_the_k_best_whatever_the_pieces(
    similarities: list[int], k: int, cuts: list[int], transposed: bool
) -> None:
    """Two rows, the second in reverse; many ties, which go to the lower ordinals."""
    table = torch.tensor([similarities, similarities[::-1]], dtype=torch.float32)
    keys = np.full((2, k), NO_KEY)
    nearest = Nearest(keys)
    first = 0
    for turn in range(len(similarities)):
        piece = table[:, first : first + cuts[turn % len(cuts)]]
        nearest.offer(piece.t().contiguous().t() if transposed else piece, first)
        first += piece.shape[1]
    nearest.settle()
    for row, actual in zip(table.tolist(), nearest_first(keys).tolist(), strict=True):
        best = sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]
        assert actual == best + [-1] * (k - len(best))


def test_what_is_left_out_never_fills_a_row() -> None:
    keys = np.full((1, 3), NO_KEY)
    nearest = Nearest(keys)
    nearest.offer(torch.tensor([[-torch.inf, 1.0, -torch.inf]]), 5)
    nearest.settle()
    assert nearest_first(keys).tolist() == [[6, -1, -1]]


def test_threads_offer_at_once() -> None:
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 4000)).astype(np.float32))
    keys = np.full((50, 10), NO_KEY)
    nearest = Nearest(keys)

    def offer(part: int) -> None:
        for first in range(part * 1000, (part + 1) * 1000, 100):
            nearest.offer(table[:, first : first + 100], first)

    threads = [threading.Thread(target=offer, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    nearest.settle()
    assert torch.equal(
        torch.from_numpy(nearest_first(keys)).long(), torch.topk(table, 10, dim=1).indices
    )


@pytest.mark.parametrize("before", [0, 4])
def test_it_goes_on_from_keys_that_were_there(before: int) -> None:
    values = torch.tensor([[5.0, 1.0, 4.0, 2.0, 3.0, 0.0]])
    keys = np.full((1, 3), NO_KEY)
    first = Nearest(keys)
    first.offer(values[:, :before], 0)
    first.settle()
    second = Nearest(keys)
    second.offer(values[:, before:], before)
    second.settle()
    assert nearest_first(keys).tolist() == [[0, 2, 4]]
