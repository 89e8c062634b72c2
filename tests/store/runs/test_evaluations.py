from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs


def test_evaluations_hang_below_their_run(
    filled: Any, evaluate: Callable[..., hs.Manifest]
) -> None:
    store = filled.store
    other = evaluate(store, "first", 0.25, qrels="other")
    assert store.evaluations("first") == [filled.evaluation, other]
    assert store.aggregates(other.id) == {"nDCG@10": 0.125, "RR": 0.5}
    assert store.per_query(other.id).to_pylist()[0] == {
        "query_id": "q1",
        "measure": "nDCG@10",
        "value": 0.25,
    }
    assert other.inputs["measures"] == ["RR", "nDCG@10"]
    assert other.parents == (filled.run.id,)


def test_an_evaluation_against_another_run_belongs_to_the_first(
    filled: Any, make_run: Callable[..., hs.Manifest]
) -> None:
    store = filled.store
    other = make_run(store, "second", k=3)
    actual = store.write_evaluation(
        "second",
        qrels_id="pair",
        inputs={},
        per_query=[("q1", "p-MRR", 0.5)],
        aggregates={"p-MRR": 0.5},
        others=(filled.run.id,),
    )
    assert actual.parents == (other.id, filled.run.id)
    assert store.evaluations("second") == [actual]
    assert store.evaluations("first") == [filled.evaluation]
    rows = store.catalog.query("SELECT run, value FROM metrics WHERE measure = 'p-MRR'").rows
    assert rows == ((other.id, 0.5),)
    with pytest.raises(hs.ArtifactInUse):
        store.remove("second")


def test_the_same_evaluation_is_kept_once(
    filled: Any, evaluate: Callable[..., hs.Manifest]
) -> None:
    assert evaluate(filled.store, "first", 0.9) == filled.evaluation
    assert filled.store.aggregates(filled.evaluation.id)["nDCG@10"] == 0.25


def test_an_evaluation_without_queries_is_one(filled: Any) -> None:
    created = filled.store.write_evaluation(
        "first", qrels_id="none", inputs={}, per_query=[], aggregates={}
    )
    assert filled.store.aggregates(created.id) == {}
    assert filled.store.per_query(created.id).num_rows == 0


@pytest.mark.parametrize(
    ("per_query", "aggregates", "said"),
    [
        ([("q1", "RR", float("nan"))], {"RR": 1.0}, "'q1' is nan"),
        ([("q1", "RR", 1.0), ("q1", "RR", 1.0)], {"RR": 1.0}, "twice"),
        ([], {"RR": float("inf")}, "RR is inf"),
    ],
)
def test_values_that_are_no_measures_are_refused(
    filled: Any, per_query: list[Any], aggregates: dict[str, float], said: str
) -> None:
    with pytest.raises(hs.InvalidContent, match=said):
        filled.store.write_evaluation(
            "first", qrels_id="bad", inputs={}, per_query=per_query, aggregates=aggregates
        )
    assert len(filled.store.evaluations("first")) == 1
