"""A whole table at small scale: what is done, what it gives, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from hypencli.data.corpus import open_corpus
from hypencli.data.prepare import PREPARATIONS
from hypencli.data.qrels import read_qrels
from hypencli.data.queries import open_queries
from hypencli.errors import DataError, ModelError, RecipeError, UsageError
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.replicate.plan import plan_replication
from hypencli.ops.replicate.selection import TableSelection
from hypencli.ops.search.options import Scoring, SearchOptions
from hypencli.ops.search.run import search
from hypestore import Store
from tests.ops.replicate.conftest import Make, counts, figure, look, states


def test_a_table_is_made_with_documents_encoded_once(make: Make, store: Store) -> None:
    done = make()
    assert counts(store) == {"embeddings": 2, "graph": 1, "run": 6, "evaluation": 6}
    assert (done.steps, done.made, done.existing) == (17, 15, 2)
    assert done.failures == ()
    # 3 rows and ways, on 2 datasets and their pool, in 2 measures
    assert len(done.figures) == 18
    assert all(one.value is not None and 0 < one.value <= 1 for one in done.figures)
    assert [one.dataset for one in done.figures[::6]] == ["both", "one", "two"]
    assert store.doctor(checksums=True).findings == ()


@pytest.mark.parametrize("model", ["hyper", "plain"])
def test_figures_are_those_of_the_verbs_by_themselves(
    make: Make, store: Store, collection: str, model: str, tmp_path: Path
) -> None:
    row = {"hyper": "hype", "plain": "bi"}[model]
    done = make()
    other = Store.open(shutil.copytree(store.root, tmp_path / "other"))
    for one in other.artifacts("embeddings"):
        other.remove(one.id, force=True)
    corpus = open_corpus(collection)
    encode(other, corpus, ModelSource(model), EncodeOptions(max_length=32, shard_rows=50))
    for dataset, length in {"one": 64, "two": 8}.items():
        name = f"{collection}/{dataset}"
        options = SearchOptions(k=20, scoring=Scoring(query_max_length=length))
        searched = search(other, open_queries(name), ModelSource(model), options)
        results = other.run(searched.run).results()
        run = {query: dict(ranking) for query, ranking in results.items()}
        measures = [ir_measures.parse_measure(m) for m in ("nDCG@10", "R(rel=2)@20")]
        expected = ir_measures.calc_aggregate(measures, read_qrels(name).qrels, run)
        for measure, value in expected.items():
            existing = figure(done, row, dataset, "exact", str(measure)).value
            assert existing == pytest.approx(value, abs=1e-9)


def test_a_pool_is_the_mean_over_all_its_queries(make: Make) -> None:
    done = make()
    for measure in ("nDCG@10", "R(rel=2)@20"):
        one, two = (figure(done, "hype", name, "walk", measure).value for name in ("one", "two"))
        pooled = figure(done, "hype", "both", "walk", measure).value
        assert pooled == pytest.approx((5 * one + 7 * two) / 12)  # type: ignore[operator]


def test_a_row_without_a_model_searches_the_texts_that_another_row_encoded(
    make: Make, store: Store, table: dict[str, Any]
) -> None:
    models = {**table["models"], "words": {"source": "hyper", "searches": ("bm25",)}}
    searches = {**table["searches"], "bm25": {"engine": "bm25", "k1": 1.2}}
    changes = {"models": models, "searches": searches}
    done = make(table=changes)
    assert counts(store)["embeddings"] == 2
    cells = {(one.model, one.search) for one in done.figures}
    assert cells == {("hype", "exact"), ("hype", "walk"), ("bi", "exact"), ("words", "bm25")}
    assert figure(done, "words", "both", "bm25", "nDCG@10").value > 0  # type: ignore[operator]
    (run,) = (one for one in store.find("run", {"engine": "bm25"}) if "/two" in str(one.inputs))
    assert (run.inputs["k1"], run.inputs["k"]) == (1.2, 20)
    assert make(table=changes).made == 0


def test_the_same_again_does_nothing(make: Make, store: Store) -> None:
    done = make()
    before = {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/*")}
    again = make()
    assert (again.made, again.existing) == (0, 17)
    assert again.figures == done.figures
    assert {path: path.stat().st_mtime_ns for path in store.root.glob("*/*/*")} == before


def test_what_was_lost_is_made_again_and_nothing_else(make: Make, store: Store) -> None:
    done = make()
    kept = {one.id for one in store.artifacts()}
    gone = store.remove(store.artifacts("graph")[0].id, force=True)
    assert len(gone) == 5  # the graph, two runs, two evaluations
    again = make()
    assert again.made == 5
    assert {one.id for one in store.artifacts()} == kept
    for before, after in zip(done.figures, again.figures, strict=True):
        assert replace(before, value=None) == replace(after, value=None)
        assert before.value == after.value


def test_only_what_is_selected_is_done(make: Make, store: Store) -> None:
    done = make(selection=TableSelection(("hype",), ("two",), ("exact",)))
    assert counts(store) == {"embeddings": 1, "graph": 0, "run": 1, "evaluation": 1}
    assert {(one.model, one.dataset, one.search) for one in done.figures} == {
        ("hype", "two", "exact")
    }
    pooled = make(selection=TableSelection(("hype",), ("both",), ("exact",)))
    assert {one.dataset for one in pooled.figures} == {"both", "one", "two"}


def test_differences_to_the_paper_are_marked(make: Make) -> None:
    plain = make()
    truth = {
        key: figure(plain, "hype", *key).value
        for key in [("one", "exact", "nDCG@10"), ("two", "exact", "nDCG@10")]
    }
    one, two = truth.values()
    assert one is not None
    assert two is not None
    published = {
        "source": "somewhere",
        "tolerance": 0.02,
        "figures": (
            {"model": "hype", "dataset": "one", "values": {"nDCG@10": round(one, 3)}},
            {"model": "hype", "dataset": "two", "values": {"nDCG@10": round(two, 3) + 0.015}},
            {
                **{"model": "bi", "dataset": "one", "source": "elsewhere"},
                "values": {"nDCG@10": 0.5, "ms/query": 5.0},
            },
            {"model": "BM25", "dataset": "both", "values": {"nDCG@10": 0.3}},
        ),
    }
    done = make(table={"published": published}, references=True)
    same = figure(done, "hype", "one", "exact", "nDCG@10")
    near = figure(done, "hype", "two", "exact", "nDCG@10")
    far = figure(done, "bi", "one", "exact", "nDCG@10")
    timed = figure(done, "bi", "one", "exact", "ms/query")
    agreements = [each.agreement for each in (same, near, far, timed)]
    assert agreements == ["same", "near", "differs", "other machine"]
    assert same.difference == pytest.approx(one - round(one, 3))
    assert near.difference == pytest.approx(two - round(two, 3) - 0.015)
    assert (same.source, far.source) == ("somewhere", "elsewhere")
    assert timed.value is not None
    assert timed.value > 0
    reference = figure(done, "BM25", "both", "exact", "nDCG@10")
    assert (reference.value, reference.published) == (None, 0.3)
    silent = figure(done, "hype", "one", "walk", "nDCG@10")
    assert (silent.published, silent.agreement) == (None, None)
    without = make(table={"published": published})
    assert not [one for one in without.figures if one.model == "BM25"]


def test_a_model_that_is_not_there_stops_it_before_anything_is_done(
    make: Make, store: Store, table: dict[str, Any]
) -> None:
    command = "hype train x --name absent"
    models = {
        **table["models"],
        "other": {"source": "absent", "made_by": {"absent": command}},
    }
    with pytest.raises(ModelError, match="No model 'absent'") as refused:
        make(table={"models": models})
    assert command in str(refused.value)
    assert counts(store)["embeddings"] == 0
    actual = look(store, table, models=models)
    assert ("missing", "model absent") in states(actual)
    waiting = [step for state, step in states(actual) if state == "waiting"]
    assert waiting
    assert all("absent" in step for step in waiting)
    done = make(table={"models": models}, keep_going=True)
    (failure,) = done.failures
    assert (failure.step, failure.exit_code) == ("model absent", 6)
    assert list(failure.waiting) == waiting
    assert figure(done, "other", "one", "exact", "nDCG@10").value is None
    assert figure(done, "hype", "one", "exact", "nDCG@10").value is not None


def test_queries_that_are_not_there_stop_it_before_documents_are_encoded(
    make: Make, store: Store, table: dict[str, Any], tmp_path: Path
) -> None:
    datasets = {
        **table["datasets"],
        "late": {
            "queries": str(tmp_path / "late.jsonl"),
            "corpus": table["datasets"]["one"]["queries"],
            "made_by": "make late.jsonl",
        },
    }
    with pytest.raises(DataError, match=r"late\.jsonl") as refused:
        make(table={"datasets": datasets})
    assert "Make it: make late.jsonl" in str(refused.value)
    assert counts(store)["embeddings"] == 0
    actual = look(store, table, datasets=datasets)
    missing = [step for state, step in states(actual) if state == "missing"]
    assert missing == [
        f"search late with {model} ({way})"
        for model, way in (("hyper", "exact"), ("hyper", "walk"), ("plain", "exact"))
    ]
    done = make(table={"datasets": datasets}, keep_going=True)
    assert [one.exit_code for one in done.failures] == [5, 5, 5]
    assert [len(one.waiting) for one in done.failures] == [1, 1, 1]


def test_what_is_wrong_with_a_table_is_said_at_once(make: Make) -> None:
    with pytest.raises(RecipeError, match="small: Not measures"):
        make(table={"measures": ("nDGC@10",)})
    with pytest.raises(UsageError, match="no hpye among its models") as refused:
        make(selection=TableSelection(models=("hpye",)))
    assert "'hype'" in str(refused.value)
    with pytest.raises(UsageError, match="No cell of small is selected"):
        make(selection=TableSelection(models=("bi",), searches=("walk",)))


def test_documents_of_the_three_msmarco_sets_are_encoded_once(tmp_path: Path) -> None:
    from hypencli.recipe.replication import load_replication

    plan = plan_replication(load_replication("in-domain"), TableSelection(), store_root=tmp_path)
    encoding = [step for step in plan.steps if step.kind == "encode"]
    assert [str(step) for step in encoding] == [
        f"encode irds:msmarco-passage with {model}"
        for model in ("jfkback/hypencoder.6_layer", "bebase")
    ]
    assert len(plan.cells) == 9


def test_what_hard_tasks_need_is_prepared_first(tmp_path: Path) -> None:
    from hypencli.recipe.replication import load_replication

    plan = plan_replication(load_replication("hard"), TableSelection(), store_root=tmp_path)
    prepared = [str(step) for step in plan.steps if step.kind == "prepare"]
    assert prepared == ["prepare dl-hard-test", "prepare tot-test", "prepare followir-test"]
    assert {name.split()[1] for name in prepared} <= set(PREPARATIONS)
    for place, step in enumerate(plan.steps):
        assert all(plan.steps.index(needed) < place for needed in step.needs)
    assert len(plan.steps) == len(set(plan.steps))
