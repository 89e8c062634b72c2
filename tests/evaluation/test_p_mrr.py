"""p-MRR: which documents count, which ranks they have, which queries are left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypencli.errors import DataError
from hypencli.evaluation.p_mrr import P_MRR, changed_documents, p_mrr
from hypencli.records import Ranking


def ranking(*doc_ids: str) -> Ranking:
    """Documents with falling scores."""
    return [(doc_id, float(-i)) for i, doc_id in enumerate(doc_ids)]


def value(before: Ranking, after: Ranking, *documents: str) -> float:
    return p_mrr({"q": before}, {"q": after}, {"q": documents}).aggregates[P_MRR]


def test_a_document_that_falls_counts_up_and_one_that_rises_down() -> None:
    before = ranking("a", "b", "c", "d")
    assert value(before, before, "a", "d") == 0.0
    assert value(before, ranking("b", "c", "d", "a"), "a") == 0.75
    assert value(before, ranking("d", "a", "b", "c"), "d") == -0.75
    assert value(before, ranking("b", "a", "d", "c"), "a", "d") == pytest.approx((0.5 - 0.25) / 2)


def test_a_document_that_is_not_ranked_stands_behind_the_last() -> None:
    assert value(ranking("a", "b", "c"), ranking("b", "c"), "a") == pytest.approx(1 - 1 / 3)
    assert value(ranking("b"), ranking("a", "b"), "a") == pytest.approx(1 / 2 - 1)
    assert value(ranking("b"), ranking("b"), "a") == 0.0


@given(st.permutations(["a", "b", "c", "d"]))
def test_equal_scores_rank_by_id_downwards_whatever_their_order(order: list[str]) -> None:
    tied = [(doc_id, 1.0) for doc_id in order]
    assert value(tied, ranking("a", "d", "c", "b"), "a") == pytest.approx(1 / 4 - 1)


def test_queries_count_alike_and_documents_within_them() -> None:
    before = {"q1": ranking("a", "b"), "q2": ranking("a", "b")}
    after = {"q1": ranking("b", "a"), "q2": ranking("a", "b")}
    actual = p_mrr(before, after, {"q1": ("a",), "q2": ("a", "b")})
    assert actual.per_query[P_MRR] == {"q1": 0.5, "q2": 0.0}
    assert actual.aggregates == {P_MRR: 0.25}


def test_what_changed_is_any_other_grade_of_a_judged_document() -> None:
    original = {"q1": {"a": 2, "b": 1, "c": 0, "d": 1}, "q2": {"a": 1}, "q3": {"a": 1}}
    changed = {"q1": {"a": 1, "b": 1, "c": 0, "e": 1}, "q2": {"a": 1}}
    assert changed_documents(original, changed) == {"q1": ("a", "d"), "q3": ("a",)}


def test_queries_that_a_run_lacks_are_left_out_and_said() -> None:
    documents = {"q1": ("a",), "q2": ("a",), "q3": ("a",)}
    both, swapped = ranking("a", "b"), ranking("b", "a")
    actual = p_mrr({"q1": both, "q2": both, "q9": both}, {"q1": swapped, "q3": both}, documents)
    assert actual.aggregates == {P_MRR: 0.5}
    assert (actual.judged_queries, actual.missing_queries) == (1, ("q2", "q3"))
    assert actual.unjudged_queries == ("q9",)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(DataError, match="agree on every document"):
        p_mrr({"q": ranking("a")}, {"q": ranking("a")}, {})
    with pytest.raises(DataError, match="is in both runs: the judgements have ids such as 'x'"):
        p_mrr({"q": ranking("a")}, {"q": ranking("a")}, {"x": ("a",)})
