"""What a page about a store says: the best pairs, what moved, lineage, limits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypestore as hs
from hypencli.errors import DataError, UsageError
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
from hypencli.ops.report.curves import thinned
from hypencli.ops.report.lineage import FACTS
from hypencli.ops.report.page import HtmlOptions, gather_report, write_html_report
from hypencli.ops.transfer.study_export import export_study
from hypencli.ops.transfer.study_import import import_study
from hypencli.own_places import place_seals
from hypencli.reporting.contents import Artifact, HtmlReport, Limits, Lineage, RunPair
from hypencli.reporting.lineage import LineageIndex, lineage_tables
from tests.ops.report.conftest import MEASURES, QRELS, QUERIES, Put, ranking


def gathered(store: hs.Store, **options: Any) -> HtmlReport:
    return gather_report(store, HtmlOptions(Path("unused.html"), **options))


def only_pair(store: hs.Store, **options: Any) -> RunPair:
    (pair,) = gathered(store, **options).pairs
    return pair


def test_the_best_two_of_a_leaderboard_are_compared(store: hs.Store, put: Put) -> None:
    put("worst", [9] * 6)
    put("best", [1] * 6)
    put("second", [1, 1, 1, 1, 2, 4])
    report = gathered(store)
    (board,) = report.leaderboards
    assert [entry.label for entry in board.entries] == ["best", "second", "worst"]
    assert board.measures == ("nDCG@10", "RR")
    (pair,) = report.pairs
    assert (pair.label_a, pair.label_b, pair.measure) == ("second", "best", "nDCG@10")
    assert [one.query_id for one in pair.queries] == ["q5", "q4"]  # those that differ most first
    assert len(pair.differences) == 2
    assert pair.differences[0] > pair.differences[1] > 0
    assert pair.queries[0].text == "question 5"
    assert pair.n_queries == 6


def test_differences_are_those_of_the_measure(store: hs.Store, put: Put) -> None:
    put("a", [1, 2, 4, 1, 1, 30])
    put("b", [2, 1, 4, 1, 1, 1])
    pair = only_pair(store, runs=("a", "b"), measures=("RR",))
    actual = {one.query_id: (one.value_a, one.value_b) for one in pair.queries}
    assert actual == {"q5": (0.0, 1.0), "q0": (1.0, 0.5), "q1": (0.5, 1.0)}
    assert pair.differences == (1.0, 0.5, -0.5)
    assert [test.measure for test in pair.tests] == ["RR"]


def test_both_top_lists_with_text_grades_and_the_other_rank(
    store: hs.Store, put: Put, qrels: Path
) -> None:
    put("a", [3, 1, 1, 1, 1, 1])
    put("b", [1, 1, 1, 1, 1, 1])
    (query,) = only_pair(store, runs=("a", "b"), qrels=str(qrels)).queries
    expected_a, expected_b = ranking("q0", "d0", 3), ranking("q0", "d0", 1)
    assert [one.doc_id for one in query.top_a] == expected_a[:10]
    assert [one.doc_id for one in query.top_b] == expected_b[:10]
    assert all(one.text == f"text of {one.doc_id}" for one in (*query.top_a, *query.top_b))
    for one in query.top_a:
        rank = expected_b.index(one.doc_id) + 1 if one.doc_id in expected_b else None
        assert (one.grade, one.other_rank) == (QRELS["q0"].get(one.doc_id), rank)
    assert [one.grade for one in query.top_b][:2] == [2, None]


def test_judged_documents_that_moved(store: hs.Store, put: Put, qrels: Path) -> None:
    """Checked against the rankings and judgements themselves."""
    put("a", [15, 30, 2, 1, 1, 1])
    put("b", [1, 3, 1, 1, 1, 1])
    pair = only_pair(store, runs=("a", "b"), qrels=str(qrels))
    assert pair.has_grades
    for query, rank_a, rank_b in (("q0", 15, 1), ("q1", 30, 3), ("q2", 2, 1)):
        (shown,) = [one for one in pair.queries if one.query_id == query]
        relevant = f"d{query[1:]}"
        a, b = ranking(query, relevant, rank_a), ranking(query, relevant, rank_b)
        expected = {
            doc_id: (grade, place(a, doc_id), place(b, doc_id))
            for doc_id, grade in QRELS[query].items()
            if place(a, doc_id) != place(b, doc_id)
        }
        actual = {one.doc_id: (one.grade, one.rank_a, one.rank_b) for one in shown.moved}
        assert actual == expected
        assert shown.n_moved == len(expected)
        assert shown.moved[0].doc_id == relevant  # the highest grade comes first
        assert shown.moved[0].text == f"text of {relevant}"


def place(ranking: list[str], doc_id: str) -> int | None:
    return ranking.index(doc_id) + 1 if doc_id in ranking else None


def test_judgements_that_are_not_at_hand_are_said_to_be_so(store: hs.Store, put: Put) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6)
    pair = only_pair(store)
    assert not pair.has_grades
    assert all(one.grade is None for query in pair.queries for one in query.top_a)
    assert all(query.moved == () for query in pair.queries)
    (remark,) = pair.remarks
    assert "hype report a b --html FILE --qrels PLACE" in remark


def test_judgements_where_a_run_says_they_are(store: hs.Store, put: Put, qrels: Path) -> None:
    """A search of a query set that has judgements keeps where they are."""
    put("a", [2] * 6)
    with store.run_writer("run", {"engine": "imported", "corpus": "docs"}, name="own") as writer:
        writer.queries(list(QUERIES.items()))
        writer.commit(stats={"qrels": str(qrels)}, provenance=place_seals(qrels=str(qrels)))
    evaluate(store, "own", EvaluateOptions(measures=MEASURES))
    assert only_pair(store).has_grades


def test_other_judgements_under_the_same_name_are_not_taken(
    store: hs.Store, put: Put, qrels: Path
) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6)
    qrels.write_text("q0 0 d1 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="No run of the store was evaluated with"):
        gathered(store, qrels=str(qrels))
    with pytest.raises(DataError):
        gathered(store, qrels=str(qrels.parent / "nowhere.txt"))


def test_judgements_by_the_id_that_evaluations_have(store: hs.Store, put: Put) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6)
    identifier = gathered(store).leaderboards[0].qrels
    assert only_pair(store, qrels=identifier).label_b == "b"


def test_runs_that_cannot_be_compared_are_refused_when_named(store: hs.Store, put: Put) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6, measured=False)
    with pytest.raises(UsageError, match="not evaluated with the same judgements"):
        gathered(store, runs=("a", "b"))
    with pytest.raises(hs.ArtifactNotFound):
        gathered(store, runs=("a", "nobody"))


def test_documents_without_text_are_shown_by_id(store: hs.Store, put: Put) -> None:
    put("a", [2] * 6, embeddings=None)
    put("b", [1] * 6, embeddings=None)
    pair = only_pair(store)
    assert all(one.text is None for query in pair.queries for one in query.top_a)
    assert any("shown by id" in remark for remark in pair.remarks)


def test_lineage_leads_from_every_number_to_a_recipe(store: hs.Store, put: Put) -> None:
    run = put("a", [2] * 6)
    lineage = gathered(store).lineage
    by_id = {one.id: one for one in lineage.artifacts}
    assert [one.kind for one in lineage.artifacts] == ["evaluation", "run", "embeddings", "model"]
    (evaluation,) = store.evaluations(run.id)
    chain, queue = [], [evaluation.id]
    while queue:
        one = by_id[queue.pop(0)]
        chain.append(one)
        queue.extend(one.parents)
    assert chain[-1].recipe == "steps = 9\n"
    facts = dict(chain[-1].facts)
    assert (facts["recipe"], facts["seed"], facts["steps"]) == ("tiny", 3, 9)
    assert chain[-1].device == "cpu"
    environment = dict(lineage.environments[chain[-1].environment].facts)
    assert environment == {"hype": "1", "torch": "2", "CPUs": "2"}
    fingerprint = str(evaluation.inputs["qrels_fingerprint"])
    assert dict(chain[0].facts)["hash of the judgements"] == fingerprint[:10]


def test_things_made_alike_share_an_environment(store: hs.Store, put: Put) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6)
    lineage = gathered(store).lineage
    places = {one.kind: set() for one in lineage.artifacts}
    for one in lineage.artifacts:
        places[one.kind].add(one.environment)
    assert places["model"] == places["embeddings"]
    assert len(places["evaluation"]) == len(places["run"]) == 1
    assert len(lineage.environments) == 3


def test_what_an_imported_study_was_made_from_is_in_another_store(
    store: hs.Store, put: Put, qrels: Path, tmp_path: Path
) -> None:
    put("a", [2] * 6)
    put("b", [1] * 6)
    export_study(store, tmp_path / "study.zip")
    other = hs.Store.create(tmp_path / "other")
    import_study(other, tmp_path / "study.zip")
    here, existing = gathered(store, qrels=str(qrels)), gathered(other, qrels=str(qrels))
    assert existing.leaderboards == here.leaderboards
    assert [one.id for one in existing.lineage.artifacts] == [
        one.id for one in here.lineage.artifacts
    ]
    where = {one.kind: dict(one.facts)["where"] for one in existing.lineage.artifacts}
    distant = "in another store"
    assert where == {"evaluation": None, "run": None, "embeddings": distant, "model": distant}
    assert existing.lineage.artifacts[-1].recipe == "steps = 9\n"
    (pair,) = existing.pairs
    assert [one.doc_id for one in pair.queries[0].top_b] == [
        one.doc_id for one in here.pairs[0].queries[0].top_b
    ]
    assert pair.queries[0].top_b[0].text is None
    assert any("shown by id" in remark for remark in pair.remarks)


def test_a_run_by_a_calibration_leads_to_it(store: hs.Store, embeddings: hs.Manifest) -> None:
    parents = (embeddings.parents[0], embeddings.id)
    inputs = {"engine": "guided", "model": parents[0], "embeddings": parents[1], "graph": None}
    calibration = store.write_calibration("docs", inputs, parents=parents, points=[])
    told = {"engine": "guided", "corpus": "docs", "calibration": calibration.id}
    with store.run_writer("run", told, parents=(*parents, calibration.id), name="quick") as writer:
        writer.queries(list(QUERIES.items()))
        writer.commit(stats={"n_queries": 6, "seconds": {"scoring": 1.0}})
    kinds = [one.kind for one in gathered(store).lineage.artifacts]
    assert kinds == ["run", "calibration", "embeddings", "model"]


@pytest.mark.parametrize("kind", hs.KINDS)
def test_every_kind_of_artifact_has_its_facts_and_its_table(kind: hs.Kind) -> None:
    assert kind in FACTS
    created = datetime.now(UTC)
    artifact = Artifact(kind, "one", "one", created, (("fact", 1),), (), 0, None)
    tables = lineage_tables(LineageIndex(Lineage((artifact,))))
    assert [row.cells[0].text for table in tables for row in table.rows] == ["one"]


def test_searches_that_nobody_evaluated_have_a_lineage_too(store: hs.Store, put: Put) -> None:
    run = put("a", [2] * 6, measured=False)
    report = gathered(store)
    assert report.leaderboards == ()
    assert [one.run for costs in report.costs for one in costs.searches] == [run.id]
    assert run.id in {one.id for one in report.lineage.artifacts}
    assert "Runs without an evaluation: 1." in report.remarks["leaderboards"][0]


def test_curves_of_loss_and_validation_alone(store: hs.Store, put: Put) -> None:
    (model,) = gathered(store).curves
    assert (model.label, model.recipe, model.unfinished) == ("nets", "tiny", False)
    assert model.curves == {"loss": ((1, 0.5), (2, 0.25))}


def test_curves_of_trainings_that_go_on_come_first(store: hs.Store, put: Put) -> None:
    with store.draft("model", "new", {"recipe": "tiny"}, name="new") as draft:
        lines = [
            {"step": i, "name": "loss", "value": v} for i, v in ((1, 2.0), (2, None), (3, 1.0))
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (draft.path / hs.PROGRESS_NAME).write_text(text, encoding="utf-8")
        first, second = gathered(store).curves
    assert (first.label, first.unfinished, second.label) == ("new", True, "nets")
    assert first.curves == {"loss": ((1, 2.0), (3, 1.0))}
    assert first.not_finite == {"loss": 1}


def test_thinned_curves_keep_ends_and_extremes() -> None:
    points = [(step, float(np.sin(step / 7))) for step in range(1000)]
    points[500] = (500, 9.0)
    points[501] = (501, -9.0)
    kept = thinned(points, 40)
    assert len(kept) <= 40
    assert set(kept) <= set(points)
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert {(500, 9.0), (501, -9.0)} <= set(kept)
    assert list(kept) == sorted(kept)
    assert thinned(points[:40], 40) == tuple(points[:40])
    assert len(thinned(points, 4)) <= 4


def test_what_is_over_a_limit_is_left_out_and_said(store: hs.Store, put: Put, qrels: Path) -> None:
    for i in range(5):
        put(f"run-{i}", [i + 1] * 6)
    limits = Limits(entries=3, queries=2, documents=4, text_characters=8, searches=2, runs=2)
    report = gathered(store, limits=limits, qrels=str(qrels))
    (board,), (pair,), (costs,) = report.leaderboards, report.pairs, report.costs
    assert [entry.label for entry in board.entries] == ["run-0", "run-1", "run-2"]
    assert "2 more runs of docs" in report.remarks["leaderboards"][0]
    assert (len(pair.queries), len(pair.differences)) == (2, 6)
    assert [len(one.top_a) for one in pair.queries] == [4, 4]
    assert pair.queries[0].top_a[0].text == "text of …"
    assert len(costs.searches) == 2
    assert any("3 more slower searches" in remark for remark in costs.remarks)
    assert sum(one.kind == "run" for one in report.lineage.artifacts) == 2
    # The three of the leaderboard and the two quickest searches: one more is left out, or two.
    assert "more runs are left out: hype show RUN has them." in report.remarks["lineage"][0]


def test_limits_of_leaderboards_pairs_models(store: hs.Store, put: Put) -> None:
    for corpus in ("one", "two", "three"):
        put(f"{corpus}-a", [1] * 6, corpus=corpus)
        put(f"{corpus}-b", [2] * 6, corpus=corpus)
    limits = Limits(leaderboards=2, pairs=1, costs=1, models=0)
    report = gathered(store, limits=limits)
    assert (len(report.leaderboards), len(report.pairs), len(report.costs)) == (2, 1, 1)
    assert report.curves == ()
    assert "1 more leaderboards" in report.remarks["leaderboards"][0]
    assert any("more pairs" in remark for remark in report.remarks["pairs"])
    assert "2 more pairs of corpus and query set" in report.remarks["costs"][0]
    assert "1 more trained models" in report.remarks["curves"][0]


def test_a_large_store_gives_a_page_of_bounded_size(
    store: hs.Store, put: Put, qrels: Path, tmp_path: Path
) -> None:
    """Twice the runs over a limit are hardly more bytes."""
    limits = Limits(entries=2, queries=2, searches=2, runs=2)
    sizes = []
    for count in (4, 8):
        for i in range(count):
            put(f"run-{count}-{i}", [i % 15 + 1] * 6)
        options = HtmlOptions(tmp_path / f"{count}.html", qrels=str(qrels), limits=limits)
        sizes.append(write_html_report(store, options).size_bytes)
    assert sizes[1] < 1.05 * sizes[0]


def test_a_page_is_written_whole_or_not_at_all(
    store: hs.Store, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a", [1] * 6)
    options = HtmlOptions(tmp_path / "page.html")
    done = write_html_report(store, options)
    page = options.output.read_bytes()
    assert (done.size_bytes, done.runs, done.leaderboards, done.models) == (len(page), 1, 1, 1)
    with pytest.raises(UsageError, match="exists"):
        write_html_report(store, options)
    nowhere = HtmlOptions(tmp_path / "no" / "page.html")
    with pytest.raises(DataError, match="cannot be written"):
        write_html_report(store, nowhere)
    assert options.output.read_bytes() == page
    assert [path.name for path in tmp_path.glob("*page*")] == ["page.html"]


def test_an_empty_store_has_a_page(store: hs.Store, tmp_path: Path) -> None:
    done = write_html_report(store, HtmlOptions(tmp_path / "page.html"))
    assert (done.leaderboards, done.pairs, done.remarks) == (0, (), ())
