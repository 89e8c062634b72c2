"""What SQL can ask about the cost of searches, and about what they found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hypestore as hs

Make = Callable[..., hs.Manifest]


def put_run(store: hs.Store, name: str, stats: dict[str, Any], **inputs: Any) -> hs.Manifest:
    """A run of 4 queries without results."""
    with store.run_writer("run", {"engine": "graph", "k": 100, **inputs}, name=name) as writer:
        writer.queries([(f"q{i}", "text") for i in range(4)])
        return writer.commit(stats=stats)


def efficiency(store: hs.Store) -> dict[str, dict[str, Any]]:
    actual = store.catalog.query("FROM efficiency")
    rows = [dict(zip(actual.columns, row, strict=True)) for row in actual.rows]
    return {row["name"]: row for row in rows}


@pytest.fixture
def model(store: hs.Store, make_model: Make) -> hs.Manifest:
    return make_model(store)


def test_an_approximate_search_is_described(store: hs.Store, model: hs.Manifest) -> None:
    stats = {
        "n_documents": 2000,
        "seconds": {"query_encoding": 0.2, "selection": 0.1, "scoring": 0.5, "topk": 0.2},
        "evaluations": {"mean": 150.5, "max": 300, "min": 60},
        "iterations": {"mean": 7.5, "max": 16},
        "check": {"against": "exact-0123456789", "n_queries": 3, "recall": {"10": 0.9, "100": 0.8}},
    }
    put_run(store, "near", stats, model=model.id, corpus="c", queries="q", embeddings="e-1")
    row = efficiency(store)["near"]
    assert row["ms_per_query"] == pytest.approx(1000 * 0.8 / 4)
    assert row["ms_query_encoding"] == pytest.approx(50)
    expected = {
        "model": "tiny",
        "model_id": model.id,
        "engine": "graph",
        "corpus": "c",
        "queries": "q",
        "embeddings": "e-1",
        "k": 100,
        "n_queries": 4,
        "n_documents": 2000,
        "evaluations_mean": 150.5,
        "evaluations_min": 60,
        "evaluations_max": 300,
        "evaluations_share": 150.5 / 2000,
        "iterations_mean": 7.5,
        "iterations_max": 16,
        "recall_10": 0.9,
        "recall_100": 0.8,
        "recall_1000": None,
        "checked_queries": 3,
        "checked_against": "exact-0123456789",
    }
    assert {name: row[name] for name in expected} == expected


def test_an_exact_search_evaluates_all_and_finds_all(
    store: hs.Store, model: hs.Manifest, make_model: Make
) -> None:
    plain = make_model(store, "plain", architecture="bi-encoder")
    stats = {"n_documents": 500, "seconds": {"scoring": 1.0, "topk": 1.0}}
    put_run(store, "q-nets", stats, engine="exact", model=model.id)
    put_run(store, "vectors", stats, engine="exact", model=plain.id)
    put_run(store, "all", stats, engine="exact", model=model.id, k=500)
    rows = efficiency(store)
    columns = ("evaluations_mean", "evaluations_min", "evaluations_share")
    assert [rows["q-nets"][name] for name in columns] == [500.0, 500, 1.0]
    assert [rows["vectors"][name] for name in columns] == [None, None, None]
    recalls = ("recall_10", "recall_100", "recall_1000")
    assert [rows["vectors"][name] for name in recalls] == [1.0, 1.0, None]
    assert [rows["all"][name] for name in recalls] == [1.0, 1.0, 1.0]


def test_registered_models_have_q_nets_by_what_their_weights_are(store: hs.Store) -> None:
    facts = {"architecture": "HypencoderDualEncoder"}
    with store.draft("model", "outside", {"source": "owner/name"}, name="outside") as draft:
        model = draft.commit(stats=facts)
    stats = {"n_documents": 7, "seconds": {"scoring": 1.0}}
    put_run(store, "run", stats, engine="exact", model=model.id)
    assert efficiency(store)["run"]["evaluations_mean"] == 7.0


@pytest.mark.parametrize(
    "stats",
    [
        {},
        {"seconds": {"total": 3.0}},
        {"seconds": 3, "evaluations": 5, "check": [], "n_documents": "many"},
        {"evaluations": {"mean": "many"}},
    ],
)
def test_runs_that_say_nothing_of_it_are_left_out(store: hs.Store, stats: dict[str, Any]) -> None:
    put_run(store, "silent", stats)
    assert efficiency(store) == {}


def test_what_is_absent_is_null(store: hs.Store, make_embeddings: Make) -> None:
    embeddings = make_embeddings(store, n=10)
    put_run(store, "counted", {"evaluations": {"mean": 4}}, embeddings=embeddings.id)
    with store.run_writer("run", {"engine": "graph"}, name="none") as writer:
        writer.queries([])
        writer.commit(stats={"seconds": {"scoring": 0.5}, "evaluations": {"mean": 4}})
    rows = efficiency(store)
    assert (rows["counted"]["n_documents"], rows["counted"]["evaluations_share"]) == (10, 0.4)
    assert rows["counted"]["ms_per_query"] is None
    assert rows["none"]["ms_per_query"] is None  # of no queries
    assert rows["none"]["recall_10"] is None
