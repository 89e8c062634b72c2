from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.data.training.negatives import (
    MiningRule,
    NegativeCandidate,
    candidates,
    choose,
    score_limit,
)
from hypencli.errors import UsageError

RANKING = [NegativeCandidate(f"d{rank}", rank, 10.0 - rank) for rank in range(1, 21)]


@given(
    st.integers(1, 25),
    st.integers(0, 25),
    st.sampled_from(["top", "random"]),
    st.sets(st.integers(1, 20)),
    st.none() | st.floats(0.1, 1.2),
)
def test_candidates_are_those_allowed(
    first: int, more: int, sample: str, relevant: set[int], ratio: float | None
) -> None:
    rule = MiningRule(first, first + more, sample=sample, max_score_ratio=ratio)  # type: ignore[arg-type]
    excluded = {f"d{rank}" for rank in relevant}
    actual = candidates("q", RANKING, rule, relevant=excluded, positive_score=6.0)
    expected = [
        rank
        for rank in range(1, 21)
        if first <= rank <= first + more
        and rank not in relevant
        and (ratio is None or 10.0 - rank <= ratio * 6.0 + 1e-9)
    ]
    assert sorted(document.rank for document in actual) == expected
    if sample == "top":
        assert [document.rank for document in actual] == expected


def test_a_random_choice_is_decided_by_seed_and_query() -> None:
    def order(query_id: str, seed: int) -> list[str]:
        rule = MiningRule(sample="random", seed=seed)
        return [one.doc_id for one in candidates(query_id, RANKING, rule, relevant=())]

    assert order("q", 1) == order("q", 1)
    assert len({tuple(order(query, seed)) for query in "qr" for seed in (1, 2)}) == 4


@pytest.mark.parametrize(
    ("score", "ratio", "limit"),
    [(10.0, 0.95, 9.5), (-10.0, 0.95, -10.5), (0.0, 0.9, 0.0), (10.0, 1.0, 10.0)],
)
def test_the_limit_is_below_the_positive_on_either_side_of_zero(
    score: float, ratio: float, limit: float
) -> None:
    assert score_limit(MiningRule(max_score_ratio=ratio), score) == pytest.approx(limit)


def test_texts_are_new_and_the_wanted_number_by_rank() -> None:
    texts = {one.doc_id: f"text {one.rank}" for one in RANKING}
    texts |= {"d2": "text 1", "d3": "the positive", "d5": "  "}
    selected = choose(RANKING[::-1][14:], texts, MiningRule(negatives=3), excluded={"the positive"})
    assert [document.doc_id for document in selected] == ["d2", "d4", "d6"]
    everything = choose(RANKING[:6], texts, MiningRule(negatives=30), excluded={"the positive"})
    assert [document.doc_id for document in everything] == ["d1", "d4", "d6"]


@pytest.mark.parametrize(("first", "last"), [(0, 5), (6, 5)])
def test_ranks_that_are_none(first: int, last: int) -> None:
    with pytest.raises(UsageError, match="no ranks from"):
        MiningRule(first, last)
