"""Queries of two runs: filtered, sorted, exported, and their documents."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import hypestore as hs
from hypencli.data.qrels import read_qrels
from hypencli.errors import UsageError
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
from hypencli.ops.report.pair_view import (
    ORDERS,
    SIDES,
    PairPlan,
    PairView,
    PairViews,
    QueryFilter,
)
from hypencli.reporting.contents import Limits
from tests.ops.report.conftest import QRELS, QUERIES, Put


@pytest.fixture
def views(store: hs.Store, put: Put, qrels: Path) -> PairViews:
    put("one", [1, 2, 3, 4, 99, 99])
    put("two", [1, 1, 1, 9, 99, 2])
    return PairViews(store, Limits(), [read_qrels(qrels)])


def view(views: PairViews) -> PairView:
    return views.get(PairPlan("one", "two", None, ()))


def reference(store: hs.Store, wanted: QueryFilter, measure: str) -> list[str]:
    """The ids of the queries that a filter keeps, by loops over the stored values."""
    a, b = (
        {row["query_id"]: row["value"] for row in rows if row["measure"] == measure}
        for run in ("one", "two")
        for rows in [store.per_query(store.evaluations(store.get(run).id)[-1].id).to_pylist()]
    )
    kept = []
    for query in a:
        change = round(b[query] - a[query], 12)
        sides = {"all": True, "gains": change > 0, "losses": change < 0, "ties": change == 0}
        if abs(change) >= wanted.least and sides[wanted.side]:
            text = wanted.text.lower()
            if text in QUERIES[query] or text in query:
                keys = {"change": -abs(change), "gain": -change, "loss": change, "id": 0}
                keys |= {"a": -a[query], "b": -b[query]}
                kept.append((keys[wanted.order], query))
    return [query for _, query in sorted(kept)]


def test_rows_are_those_that_a_loop_over_the_values_keeps(
    store: hs.Store, views: PairViews
) -> None:
    cases = itertools.product(
        SIDES, ORDERS, ("", "Question 3", "q1"), (0.0, 0.3), ("nDCG@10", "RR")
    )
    for side, order, text, least, measure in cases:
        wanted = QueryFilter(text=text, least=least, side=side, order=order)
        rows = view(views).rows(wanted, measure)
        assert [one.query_id for one in rows] == reference(store, wanted, measure), wanted


def test_an_export_has_the_rows_that_are_shown(views: PairViews) -> None:
    wanted = QueryFilter(side="gains", order="id")
    exported = view(views).export(wanted, "RR").to_dicts()
    assert [one["query_id"] for one in exported] == ["q1", "q2", "q5"]
    assert exported[0] == {
        "query_id": "q1",
        "query": "question 1",
        "measure": "RR",
        "value_a": 0.5,
        "value_b": 1.0,
        "difference": 0.5,
    }


def test_a_document_has_the_ranks_and_scores_of_both_runs(
    store: hs.Store, views: PairViews
) -> None:
    runs = [store.run(name).by_query() for name in ("one", "two")]
    for query in QUERIES:
        ranked = [dict(run.ranking(query)) for run in runs]
        shown = view(views).query(query)
        relevant = [
            {one for one, grade in QRELS[query].items() if grade} & {*some} for some in ranked
        ]
        assert shown.found is not None
        assert shown.found.both == len(relevant[0] & relevant[1])
        assert shown.found.only_a == len(relevant[0] - relevant[1])
        assert shown.found.only_b == len(relevant[1] - relevant[0])
        for top, (own, other) in ((shown.top_a, ranked), (shown.top_b, ranked[::-1])):
            assert [one.doc_id for one in top] == list(own)[:10]
            for one in top:
                assert one.score == own[one.doc_id]
                assert one.other_score == other.get(one.doc_id)
                assert one.grade == QRELS[query].get(one.doc_id)


def test_what_is_not_there_is_told(views: PairViews) -> None:
    with pytest.raises(UsageError, match="They have: nDCG@10, RR"):
        view(views).rows(QueryFilter(), "P@5")
    with pytest.raises(UsageError, match="no common judged query 'q9'"):
        view(views).query("q9")


def test_a_comparison_is_kept_until_a_run_is_evaluated_again(
    store: hs.Store, views: PairViews, qrels: Path
) -> None:
    first = view(views)
    assert view(views) is first
    for run in ("one", "two"):
        evaluate(store, run, EvaluateOptions(str(qrels), ("P@5",)))
    assert "P@5" in view(views).measures
