from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.errors import DataError
from hypencli.training.config import Sampling
from hypencli.training.data.sampling import (
    Candidates,
    RowOrder,
    RowTable,
    candidates_of,
    draw_items,
    draw_random,
)
from hypencli.training.data.sampling import split_rows as split_table

Row = tuple[tuple[str, ...], list[float] | None]


def row(*kinds: str, scores: list[float] | None = None) -> Row:
    return kinds, scores


def table(rows: list[Row]) -> RowTable:
    """Rows of one query; every item is another passage."""
    lengths = [len(kinds) for kinds, _ in rows]
    kinds = [kind for some, _ in rows for kind in some]
    names = tuple(dict.fromkeys(kinds))
    scores = [s for some, values in rows for s in values or [np.nan] * len(some)]
    return RowTable(
        query=np.zeros(len(rows), np.int32),
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        passages=np.arange(len(kinds), dtype=np.int32),
        scores=np.array(scores, np.float32),
        types=np.array([names.index(kind) for kind in kinds], np.int16),
        type_names=names,
        query_id=lambda number: "q",
    )


def split_rows(rows: list[Row], sampling: Sampling) -> list[Candidates]:
    whole = table(rows)
    split = split_table(whole, sampling)
    return [candidates_of(whole, split, int(number)) for number in split.kept]


@pytest.mark.parametrize(
    ("sampling", "positives"),
    [
        (Sampling(positives="first", negatives_per_query=1), (0,)),
        (Sampling(positives="type", positive_type="good", negatives_per_query=1), (1, 2)),
        (Sampling(positives="score_above", positive_score=2, negatives_per_query=1), (2, 3)),
    ],
)
def test_positives(sampling: Sampling, positives: tuple[int, ...]) -> None:
    (split,) = split_rows([row("bad", "good", "good", "bad", scores=[1, 2, 3, 4])], sampling)
    assert split.positives == positives
    assert sorted(split.positives + split.negatives) == [0, 1, 2, 3]


def test_a_row_without_positive_is_named() -> None:
    rows = [row("good", "bad"), row("bad", "bad")]
    with pytest.raises(DataError, match=r"row 2 \(query 'q'\) has no positive.*'good'"):
        split_rows(rows, Sampling(positives="type", positive_type="good", negatives_per_query=1))


def test_too_few_negatives_is_a_choice() -> None:
    rows = [row("p", "n"), row("p", "n", "n")]
    with pytest.raises(DataError, match=r"row 1 .* has 1 negatives; 2 are to be drawn"):
        split_rows(rows, Sampling(negatives_per_query=2))
    skipping = Sampling(negatives_per_query=2, too_few_negatives="skip")
    assert [each.row for each in split_rows(rows, skipping)] == [1]
    repeating = Sampling(negatives_per_query=2, too_few_negatives="repeat")
    first, _ = split_rows(rows, repeating)
    assert draw_items(first, repeating, seed=0, epoch=0) == (0, 1, 1)


def test_nothing_left_or_nothing_to_repeat() -> None:
    with pytest.raises(DataError, match="all were left out"):
        split_rows([row("p")], Sampling(negatives_per_query=1, too_few_negatives="skip"))
    with pytest.raises(DataError, match="has 0 negatives"):
        split_rows([row("p")], Sampling(negatives_per_query=1, too_few_negatives="repeat"))


@given(
    n_items=st.integers(2, 9), wanted=st.integers(0, 12), seed=st.integers(0, 99), data=st.data()
)
def test_draws(n_items: int, wanted: int, seed: int, data: st.DataObject) -> None:
    epoch = data.draw(st.integers(0, 5))
    sampling = Sampling(negatives_per_query=wanted, too_few_negatives="repeat")
    (split,) = split_rows([row(*["x"] * n_items)], sampling)
    drawn = draw_items(split, sampling, seed=seed, epoch=epoch)
    assert drawn[0] == 0
    assert len(drawn) == wanted + 1
    assert 0 not in drawn[1:]
    counts = np.bincount(drawn[1:], minlength=n_items)[1:]
    assert counts.max(initial=0) - counts.min(initial=wanted) <= 1
    assert drawn == draw_items(split, sampling, seed=seed, epoch=epoch)


def test_draws_differ_by_seed_epoch_and_row() -> None:
    sampling = Sampling(negatives_per_query=5)
    splits = split_rows([row(*["x"] * 40)] * 2, sampling)
    draws = {
        draw_items(split, sampling, seed=seed, epoch=epoch)
        for split in splits
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(draws) == 8


@given(
    pool=st.sets(st.integers(0, 50), min_size=1),
    exclude=st.sets(st.integers(0, 50)),
    count=st.integers(0, 60),
    epoch=st.integers(0, 3),
)
def test_random_negatives(pool: set[int], exclude: set[int], count: int, epoch: int) -> None:
    drawn = draw_random(
        np.array(sorted(pool)), sorted(exclude), count=count, seed=1, epoch=epoch, row=2
    )
    assert len(drawn) == len(set(drawn)) == min(count, len(pool - exclude))
    assert set(drawn) <= pool - exclude


def test_row_order() -> None:
    order = RowOrder(20, seed=3)
    first = list(order)
    assert list(order) == first
    order.set_epoch(1)
    second = list(order)
    assert {epoch for epoch, _ in second} == {1}
    assert sorted(i for _, i in first) == sorted(i for _, i in second) == list(range(20))
    assert [i for _, i in first] != [i for _, i in second]
    assert [i for _, i in RowOrder(20, seed=4)] != [i for _, i in first]
