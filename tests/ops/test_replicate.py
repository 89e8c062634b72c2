"""A whole table at small scale: on datasets that ir_datasets knows, with tiny trained models."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
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
from hypencli.ops.data_prepare import PrepareOptions, prepare
from hypencli.ops.encode import EncodeOptions, encode
from hypencli.ops.models import ModelSource
from hypencli.ops.replicate import Replicated, ReplicateOptions, replicate
from hypencli.ops.replicate_choice import Selection
from hypencli.ops.replicate_plan import plan_replication
from hypencli.ops.replicate_survey import Survey, survey
from hypencli.ops.replicate_table import Figure
from hypencli.ops.search import search
from hypencli.ops.search_records import SearchOptions
from hypencli.recipe.replication import Replication
from hypestore import Store

_numbers = itertools.count()


@pytest.fixture(scope="module")
def collection(tiny_collection: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``NAME/one`` and ``NAME/two``: halves of the tiny queries on the documents of ``NAME``."""
    import json

    import ir_datasets

    folder = tmp_path_factory.mktemp("registered")
    name = f"replica-{next(_numbers)}"
    documents = map(json.loads, (tiny_collection / "corpus.jsonl").read_text().splitlines())
    lines = [f"{one['id']}\t{one['text']}" for one in documents]
    (folder / "docs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    whole = ir_datasets.create_dataset(docs_tsv=str(folder / "docs.tsv"))
    ir_datasets.registry.register(name, whole)
    queries = list(map(json.loads, (tiny_collection / "queries.jsonl").read_text().splitlines()))
    judged = (tiny_collection / "qrels.txt").read_text().splitlines()
    for part, members in {"one": queries[:5], "two": queries[5:]}.items():
        ids = {one["id"] for one in members}
        asked = "".join(f"{one['id']}\t{one['text']}\n" for one in members)
        (folder / f"{part}.tsv").write_text(asked, encoding="utf-8")
        own = [line for line in judged if line.split()[0] in ids]
        (folder / f"{part}.qrels").write_text("\n".join(own) + "\n", encoding="utf-8")
        handlers = ir_datasets.create_dataset(
            queries_tsv=str(folder / f"{part}.tsv"), qrels_trec=str(folder / f"{part}.qrels")
        )
        dataset = ir_datasets.Dataset(
            whole.docs_handler(), handlers.queries_handler(), handlers.qrels_handler()
        )
        ir_datasets.registry.register(f"{name}/{part}", dataset)
    return name


@pytest.fixture
def table(collection: str) -> dict[str, Any]:
    """Two models on two query sets, which are also pooled, in two ways."""
    return {
        "name": "small",
        "models": {
            "hype": {"source": "hyper"},
            "bi": {"source": "plain", "searches": ("exact",)},
        },
        "datasets": {
            "one": {"queries": f"{collection}/one"},
            "two": {"queries": f"{collection}/two", "query_max_length": 8},
        },
        "pools": {"both": {"datasets": ("one", "two")}},
        "searches": {"exact": {}, "walk": {"engine": "graph", "preset": "efficient-1"}},
        "encoding": {"max_length": 32},
        "graph": {"k": 5},
        "measures": ("nDCG@10", "R(rel=2)@20"),
        "k": 20,
    }


@pytest.fixture
def store(study: Path) -> Store:
    """The finished study without its vectors and runs: only the two models are left."""
    opened = Store.open(study)
    for kind in ("run", "embeddings"):
        for one in opened.artifacts(kind):  # type: ignore[arg-type]
            if opened.has(one.id):
                opened.remove(one.id, force=True)
    return opened


Make = Callable[..., Replicated]


@pytest.fixture
def make(store: Store, table: dict[str, Any]) -> Make:
    def make(**changes: Any) -> Replicated:
        recipe = Replication.model_validate({**table, **changes.pop("table", {})})
        return replicate(store, recipe, ReplicateOptions(device="cpu", **changes))

    return make


def look(store: Store, table: dict[str, Any], **changes: Any) -> Survey:
    recipe = Replication.model_validate({**table, **changes})
    return survey(store, recipe, Selection(), device="cpu")


def figure(done: Replicated, *key: str) -> Figure:
    (found,) = (
        one for one in done.figures if (one.model, one.dataset, one.search, one.measure) == key
    )
    return found


def states(found: Survey) -> list[tuple[str, str]]:
    return [(one.state, one.step) for one in found.steps]


def counts(store: Store) -> dict[str, int]:
    kinds = ("embeddings", "graph", "run", "evaluation")
    return {kind: len(store.artifacts(kind)) for kind in kinds}  # type: ignore[arg-type]


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
        options = SearchOptions(k=20, query_max_length=length)
        found = search(other, open_queries(name), ModelSource(model), options)
        results = other.run(found.run).results()
        run = {query: dict(ranking) for query, ranking in results.items()}
        measures = [ir_measures.parse_measure(m) for m in ("nDCG@10", "R(rel=2)@20")]
        expected = ir_measures.calc_aggregate(measures, read_qrels(name).qrels, run)
        for measure, value in expected.items():
            there = figure(done, row, dataset, "exact", str(measure)).value
            assert there == pytest.approx(value, abs=1e-9)


def test_a_pool_is_the_mean_over_all_its_queries(make: Make) -> None:
    done = make()
    for measure in ("nDCG@10", "R(rel=2)@20"):
        one, two = (figure(done, "hype", name, "walk", measure).value for name in ("one", "two"))
        pooled = figure(done, "hype", "both", "walk", measure).value
        assert pooled == pytest.approx((5 * one + 7 * two) / 12)  # type: ignore[operator]


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
    done = make(selection=Selection(("hype",), ("two",), ("exact",)))
    assert counts(store) == {"embeddings": 1, "graph": 0, "run": 1, "evaluation": 1}
    assert {(one.model, one.dataset, one.search) for one in done.figures} == {
        ("hype", "two", "exact")
    }
    pooled = make(selection=Selection(("hype",), ("both",), ("exact",)))
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


def test_a_loss_is_against_another_dataset(
    make: Make, collection: str, table: dict[str, Any]
) -> None:
    spoilt = {"queries": f"{collection}/one", "query_max_length": 4, "loss_against": "one"}
    done = make(table={"datasets": {**table["datasets"], "spoilt": spoilt}})
    found = figure(done, "hype", "spoilt", "exact", "nDCG@10")
    base = figure(done, "hype", "one", "exact", "nDCG@10").value
    plain = make(
        table={"datasets": {**table["datasets"], "spoilt": {**spoilt, "loss_against": None}}}
    )
    value = figure(plain, "hype", "spoilt", "exact", "nDCG@10").value
    assert base is not None
    assert value is not None
    assert found.base == "one"
    assert value != base
    assert found.value == pytest.approx(100 * (base - value) / base)


def test_lists_are_ranked_again(
    store: Store, table: dict[str, Any], hard_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(
        "followir-test",
        PrepareOptions(source=hard_tasks / "followir-test"),
        store_root=store.root,
    )
    part = "followir-test/robust04"
    datasets = {
        "robust04": {
            "prepare": "followir-test",
            "queries": f"{part}/queries.og.jsonl",
            "corpus": part,
            "qrels": f"{part}/qrels.og.txt",
            "lists": f"{part}/top_ranked.trec",
        }
    }
    small = {**table, "datasets": datasets, "pools": {}, "measures": ("AP",)}
    monkeypatch.chdir(store.root)
    recipe = Replication.model_validate(small)
    done = replicate(store, recipe, ReplicateOptions(Selection(models=("hype",))))
    given = store.run("lists-robust04").results()
    (ranked,) = (run for run in store.artifacts("run") if run.inputs["engine"] == "rerank")
    results = store.run(ranked.id).results()
    assert results.keys() == given.keys()
    for query, ranking in results.items():
        assert {doc for doc, _ in ranking} == {doc for doc, _ in given[query]}
    assert figure(done, "hype", "robust04", "exact", "AP").value is not None
    assert {one.search for one in done.figures} == {"exact"}
    found = survey(store, recipe, Selection(models=("hype",)), device="cpu")
    assert {one.state for one in found.steps} == {"done"}


def test_a_dry_run_tells_what_is_done_and_what_is_to_do(
    make: Make, store: Store, table: dict[str, Any]
) -> None:
    before = look(store, table)
    assert [step for state, step in states(before) if state == "done"] == [
        "model hyper",
        "model plain",
    ]
    assert {state for state, _ in states(before)} == {"done", "to do"}
    make(selection=Selection(("hype",), ("one",), ("exact",)))
    half = look(store, table)
    assert [step for state, step in states(half) if state == "done"][2:] == [
        f"encode irds:{table['datasets']['one']['queries'].split('/')[0]} with hyper",
        "search one with hyper (exact)",
        "eval one with hyper (exact)",
    ]
    artifacts = {one.id for one in store.artifacts()}
    done = make()
    assert done.made == sum(one.state == "to do" for one in half.steps)
    assert artifacts < {one.id for one in store.artifacts()}
    after = look(store, table)
    assert {one.state for one in after.steps} == {"done"}
    assert (after.seconds, after.bytes, after.unknown) == (0.0, 0, ())


def test_a_dry_run_sees_what_changes_a_step(
    make: Make, store: Store, table: dict[str, Any]
) -> None:
    make(selection=Selection(("bi",)))
    for change, kinds in (
        ({"k": 10}, {"search", "eval"}),
        ({"measures": ("P@1",)}, {"eval"}),
        ({"encoding": {"max_length": 16}}, {"encode", "search", "eval"}),
        ({"dtype": "bfloat16"}, {"search", "eval"}),
    ):
        recipe = Replication.model_validate({**table, **change})
        found = survey(store, recipe, Selection(("bi",)), device="cpu")
        assert {one.kind for one in found.steps if one.state == "to do"} == kinds


def test_estimates_are_counts_by_rates(
    store: Store, table: dict[str, Any], make: Make, tiny_collection: Path
) -> None:
    one = {
        "queries": str(tiny_collection / "queries.jsonl"),
        "corpus": str(tiny_collection / "corpus.jsonl"),
        "qrels": str(tiny_collection / "qrels.txt"),
    }
    small = {**table, "datasets": {"one": one}, "pools": {}}
    bare = {step.kind: step for step in look(store, small).steps if "hyper" in step.step}
    assert bare["encode"].estimate.bytes == 120 * 32 * 2
    assert bare["encode"].estimate.seconds == pytest.approx(120 / 30)
    assert "30 documents/s, assumed" in str(bare["encode"].estimate.basis)
    assert bare["graph"].estimate.bytes == 120 * 5 * 4
    assert bare["search"].estimate.bytes == 12 * 20 * 10
    assert bare["search"].estimate.seconds is None
    first = look(store, small)
    assert set(first.unknown) == {
        step.step for step in first.steps if step.kind in ("graph", "search")
    }
    assert first.seconds == pytest.approx(2 * 120 / 30)
    make(table=small)
    later = look(store, {**small, "k": 10, "encoding": {"max_length": 16}})
    measured = {step.step: step.estimate for step in later.steps}
    exact = next(
        run
        for run in store.artifacts("run")
        if run.inputs["engine"] == "exact" and store.get("hyper").id in run.parents
    )
    seconds = float(exact.stats["seconds"]["total"])  # type: ignore[index, arg-type, call-overload]
    assert measured["search one with hyper (exact)"].seconds == pytest.approx(seconds)
    walked = measured["search one with hyper (walk)"]
    assert "graph" in str(walked.basis)
    assert "measured" in str(walked.basis)
    (vectors,) = (
        one for one in store.artifacts("embeddings") if store.get("hyper").id in one.parents
    )
    took = float(vectors.stats["seconds"]["total"])  # type: ignore[index, arg-type, call-overload]
    encoding = next(step for step in later.steps if step.kind == "encode")
    assert encoding.estimate.seconds == pytest.approx(took)
    assert later.unknown == ()


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
    found = look(store, table, models=models)
    assert ("missing", "model absent") in states(found)
    waiting = [step for state, step in states(found) if state == "waiting"]
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
    found = look(store, table, datasets=datasets)
    missing = [step for state, step in states(found) if state == "missing"]
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
    with pytest.raises(UsageError, match="--models hpye") as refused:
        make(selection=Selection(models=("hpye",)))
    assert "'hype'" in str(refused.value)
    with pytest.raises(UsageError, match="Nothing of small is left"):
        make(selection=Selection(models=("bi",), searches=("walk",)))


def test_documents_of_the_three_msmarco_sets_are_encoded_once(tmp_path: Path) -> None:
    from hypencli.recipe.replication import load_replication

    plan = plan_replication(load_replication("in-domain"), Selection(), store_root=tmp_path)
    encoding = [step for step in plan.steps if step.kind == "encode"]
    assert [str(step) for step in encoding] == [
        f"encode irds:msmarco-passage with {model}"
        for model in ("jfkback/hypencoder.6_layer", "bebase")
    ]
    assert len(plan.cells) == 6


def test_what_hard_tasks_need_is_prepared_first(tmp_path: Path) -> None:
    from hypencli.recipe.replication import load_replication

    plan = plan_replication(load_replication("hard"), Selection(), store_root=tmp_path)
    prepared = [str(step) for step in plan.steps if step.kind == "prepare"]
    assert prepared == ["prepare dl-hard-test", "prepare tot-test", "prepare followir-test"]
    assert {name.split()[1] for name in prepared} <= set(PREPARATIONS)
    for place, step in enumerate(plan.steps):
        assert all(plan.steps.index(needed) < place for needed in step.needs)
    assert len(plan.steps) == len(set(plan.steps))
