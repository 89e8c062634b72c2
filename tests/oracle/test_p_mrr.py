"""p-MRR against figures of the benchmark's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.qrels import read_qrels
from hypencli.data.runs import read_run
from hypencli.evaluation.p_mrr import P_MRR, changed_documents, p_mrr
from hypencli.ops.evaluation.p_mrr import evaluate_p_mrr
from hypencli.ops.transfer.runs import import_run
from hypencli.records import Results
from hypestore import Store


@pytest.fixture
def golden(evaluation_goldens: Path) -> dict[str, Any]:
    actual: dict[str, Any] = json.loads(
        (evaluation_goldens / "pmrr" / "golden.json").read_text(encoding="utf-8")
    )
    return actual


@pytest.fixture
def documents(evaluation_goldens: Path) -> dict[str, tuple[str, ...]]:
    og, changed = (
        read_qrels(evaluation_goldens / "pmrr" / f"case1_{which}.qrels")
        for which in ("og", "changed")
    )
    return changed_documents(og.qrels, changed.qrels)


def check(actual: Results, changed: Results, documents: Any, golden: dict[str, Any]) -> None:
    evaluation = p_mrr(actual, changed, documents)
    assert evaluation.aggregates[P_MRR] == pytest.approx(golden["case1"]["p-MRR"], abs=1e-12)
    assert evaluation.per_query[P_MRR] == pytest.approx(golden["case1"]["per_query"], abs=1e-12)


def test_fifty_queries_of_two_real_runs(
    evaluation_goldens: Path, golden: Any, documents: Any
) -> None:
    runs = [
        read_run(evaluation_goldens / "pmrr" / f"case1_{name}.run") for name in ("og", "changed")
    ]
    check(runs[0].results, runs[1].results, documents, golden)


def test_the_order_of_ties_in_a_file_does_not_matter(
    evaluation_goldens: Path, golden: Any, documents: Any
) -> None:
    """The runs that the case was made from have their ties in another order, at 18 places."""
    cut = {"bm25.run": 100, "bm25+bert(zs).run": 101}
    runs = []
    for name, depth in cut.items():
        results = read_run(evaluation_goldens / "dlhard" / "passage" / name).results
        runs.append(
            {
                query: sorted(actual, key=lambda pair: (-pair[1], pair[0]))[:depth]
                for query, actual in results.items()
            }
        )
    check(runs[0], runs[1], documents, golden)


def test_through_the_store(evaluation_goldens: Path, golden: Any, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    folder = evaluation_goldens / "pmrr"
    for name in ("og", "changed"):
        import_run(store, folder / f"case1_{name}.run", name=name)
    named = {
        "qrels_original": str(folder / "case1_og.qrels"),
        "qrels_changed": str(folder / "case1_changed.qrels"),
    }
    evaluated = evaluate_p_mrr(store, "og", "changed", **named)
    assert evaluated.p_mrr == pytest.approx(golden["case1"]["p-MRR"], abs=1e-12)
    assert evaluated.per_query == pytest.approx(golden["case1"]["per_query"], abs=1e-12)
    assert (evaluated.existing, evaluated.missing_queries) == (False, [])
    assert evaluate_p_mrr(store, "og", "changed", **named).existing
    board = store.catalog.query("SELECT name, qrels, measure FROM leaderboard").rows
    assert board == (("changed", "file:case1_og.qrels -> file:case1_changed.qrels", "p-MRR"),)
    assert [one.id for one in store.evaluations("changed")] == [evaluated.evaluation]
    assert store.evaluations("og") == []
    assert [one.id for one in store.children_of("og")] == [evaluated.evaluation]


def test_the_cases_of_the_benchmarks_own_tests(golden: Any) -> None:
    assert len(golden["mteb_unit_cases"]) == 3
    for case in golden["mteb_unit_cases"]:
        runs = [{"q": list(case[which].items())} for which in ("og", "changed")]
        actual = p_mrr(runs[0], runs[1], {"q": tuple(case["docs"])})
        assert actual.aggregates[P_MRR] == pytest.approx(case["p-MRR"])
