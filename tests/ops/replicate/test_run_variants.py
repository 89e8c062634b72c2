"""Queries asked otherwise: changed on the way, with other instructions, and what that costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hypencli.data.queries import open_queries
from hypencli.data.variations import EDITS, drawing
from hypencli.errors import DataError, RecipeError, UsageError
from hypencli.ops.datasets.prepare import PrepareOptions, prepare
from hypencli.ops.evaluation.robustness import robustness_loss
from hypencli.ops.perturb import PerturbOptions, perturb, variation_of
from hypencli.ops.replicate.input_steps import PerturbStep
from hypencli.ops.replicate.plan import plan_replication
from hypencli.ops.replicate.run import ReplicateOptions, replicate
from hypencli.ops.replicate.selection import TableSelection
from hypencli.ops.replicate.step import ReplicationContext
from hypencli.ops.replicate.survey import replication_status
from hypencli.recipe.replication import Replication
from hypestore import Store
from tests.ops.replicate.conftest import Make, figure


def test_a_loss_is_against_another_dataset(
    make: Make, collection: str, table: dict[str, Any]
) -> None:
    spoilt = {"queries": f"{collection}/one", "query_max_length": 4, "loss_against": "one"}
    done = make(table={"datasets": {**table["datasets"], "spoilt": spoilt}})
    actual = figure(done, "hype", "spoilt", "exact", "nDCG@10")
    base = figure(done, "hype", "one", "exact", "nDCG@10").value
    plain = make(
        table={"datasets": {**table["datasets"], "spoilt": {**spoilt, "loss_against": None}}}
    )
    value = figure(plain, "hype", "spoilt", "exact", "nDCG@10").value
    assert base is not None
    assert value is not None
    assert actual.base == "one"
    assert value != base
    assert actual.value == pytest.approx(100 * (base - value) / base)


def misspelt(collection: str, **changes: Any) -> dict[str, Any]:
    """A dataset whose queries are changed on the way."""
    name = f"{collection}/one"
    inputs = {"queries": name, "qrels": name, "perturb": "misspelling", "loss_against": "one"}
    return {**inputs, **changes}


def test_queries_are_changed_on_the_way_and_what_a_loss_is_against_is_done_too(
    make: Make, store: Store, collection: str, table: dict[str, Any]
) -> None:
    datasets = {**table["datasets"], "misspelt": misspelt(collection)}
    selection = TableSelection(("hype",), ("misspelt",), ("exact",))
    recipe = Replication.model_validate({**table, "datasets": datasets})
    before = replication_status(store, recipe, selection, device="cpu")
    assert {one.kind: one.state for one in before.steps}["perturb"] == "to do"
    assert not (store.root / "data" / "perturbed").exists()
    done = make(table={"datasets": datasets}, selection=selection)
    assert {one.dataset for one in done.figures} == {"one", "misspelt"}
    (path,) = (store.root / "data" / "perturbed").iterdir()
    originals = {query.query_id: query.text for query in open_queries(f"{collection}/one")}
    expected = {
        query_id: EDITS["misspelling"](text, drawing(0, "misspelling", query_id), 1)
        for query_id, text in originals.items()
    }
    asked = {query.query_id: query.text for query in open_queries(path)}
    assert asked == expected != originals
    again = make(table={"datasets": datasets}, selection=selection)
    assert (again.made, again.existing) == (0, done.steps)
    after = replication_status(store, recipe, selection, device="cpu")
    assert {one.state for one in after.steps} == {"done"}
    content = path.read_bytes()
    path.unlink()
    whole = make(table={"datasets": datasets}, selection=selection)
    assert (whole.made, path.read_bytes()) == (1, content)


def test_the_loss_of_changed_queries_is_that_of_the_report(
    make: Make, store: Store, collection: str, table: dict[str, Any]
) -> None:
    kinds = ("misspelling", "word-drop", "ordering")
    datasets = {
        "one": table["datasets"]["one"],
        **{kind: misspelt(collection, perturb=kind) for kind in kinds},
    }
    done = make(
        table={"datasets": datasets, "pools": {}},
        selection=TableSelection(("hype",), (), ("exact",)),
    )
    runs = {run.inputs["queries"]: run.id for run in store.artifacts("run")}
    reported = robustness_loss(
        store, runs[f"irds:{collection}/one"], measures=("nDCG@10", "R(rel=2)@20")
    )
    assert {one.kind for one in reported.kinds} == set(kinds)
    for kind in reported.kinds:
        for loss in kind.losses:
            actual = figure(done, "hype", kind.kind, "exact", loss.measure)
            assert loss.loss is not None
            assert actual.value == pytest.approx(100 * loss.loss)


def test_changed_queries_are_named_by_all_that_they_are_made_of(
    store: Store, table: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "asked.jsonl"
    words = tmp_path / "words.tsv"

    def place(text: str, entries: str, variation: str, **inputs: Any) -> Path:
        path.write_text(json.dumps({"id": "1", "text": text}), encoding="utf-8")
        words.write_text(entries, encoding="utf-8")
        recipe = Replication.model_validate({**table, "perturb": inputs})
        step = PerturbStep(str(path), variation, ())  # type: ignore[arg-type]
        return step.path(ReplicationContext(store, recipe, "cpu"))

    inputs = {"words": str(words)}
    places = [
        place("a big house", "big\tlarge\n", "synonym", **inputs),
        place("a big tree", "big\tlarge\n", "synonym", **inputs),
        place("a big house", "big\thuge\n", "synonym", **inputs),
        place("a big house", "big\tlarge\n", "synonym", seed=1, **inputs),
        place("a big house", "big\tlarge\n", "synonym", changes=2, **inputs),
        place("a big house", "big\tlarge\n", "paraphrase", model="one"),
        place("a big house", "big\tlarge\n", "paraphrase", model="two"),
        place("a big house", "big\tlarge\n", "paraphrase", model="two", prefix="say: "),
    ]
    assert len(set(places)) == len(places)
    assert places[0] == place("a big house", "big\tlarge\n", "synonym", **inputs)
    kinds = [variation_of(f"file:{one.name}") for one in places]
    assert kinds == ["synonym"] * 5 + ["paraphrase"] * 3


def test_what_only_the_user_has_is_left_out_until_it_is_given(
    make: Make, store: Store, collection: str, table: dict[str, Any], tmp_path: Path
) -> None:
    datasets = {
        "one": table["datasets"]["one"],
        "reworded": misspelt(collection, perturb="synonym"),
        "retold": misspelt(collection, perturb="paraphrase"),
    }
    small = {"datasets": datasets, "pools": {}}
    rows = ("bi",)
    done = make(table=small, selection=TableSelection(rows))
    assert {one.dataset for one in done.figures} == {"one"}
    assert [one.datasets for one in done.left_out] == [("reworded",), ("retold",)]
    assert "--set perturb.words=FILE" in done.left_out[0].reason
    assert "--set perturb.model=" in done.left_out[1].reason
    with pytest.raises(UsageError, match=r"The queries of reworded .*perturb\.words=FILE"):
        make(table=small, selection=TableSelection(rows, ("reworded",)))
    word = next(iter(open_queries(f"{collection}/one"))).text.split()[0]
    words = tmp_path / "words.tsv"
    words.write_text(f"{word}\tanother\n", encoding="utf-8")
    inputs = {**small, "perturb": {"words": str(words)}}
    created = make(table=inputs, selection=TableSelection(rows, ("reworded",)))
    assert created.left_out == ()
    assert figure(created, "bi", "reworded", "exact", "nDCG@10").value is not None
    (path,) = (store.root / "data" / "perturbed").iterdir()
    assert "another" in path.read_text(encoding="utf-8")
    lost = {**small, "perturb": {"words": str(tmp_path / "gone.tsv")}}
    with pytest.raises(DataError, match=r"gone\.tsv"):
        make(table=lost, selection=TableSelection(rows, ("reworded",)))


def test_paraphrases_are_those_of_the_verb(
    make: Make, store: Store, collection: str, tiny_seq2seq: Path, tmp_path: Path
) -> None:
    name = f"{collection}/one"
    retold = misspelt(collection, perturb="paraphrase", loss_against=None)
    make(
        table={
            "datasets": {"retold": retold},
            "pools": {},
            "perturb": {"model": str(tiny_seq2seq), "prefix": "a the ", "changes": 2, "seed": 4},
        },
        selection=TableSelection(("bi",)),
    )
    options = PerturbOptions("paraphrase", 4, model=str(tiny_seq2seq), prefix="a the ")
    expected = perturb(open_queries(name), options, output=tmp_path / "expected.jsonl")
    assert expected.n_changed
    (path,) = (store.root / "data" / "perturbed").iterdir()
    assert path.read_bytes() == expected.path.read_bytes()


def test_a_pool_brings_the_pool_that_its_loss_is_against(
    collection: str, table: dict[str, Any], tmp_path: Path
) -> None:
    spoilt = {
        f"{name}-spoilt": {"queries": f"{collection}/{name}", "query_max_length": 4}
        for name in ("one", "two")
    }
    pools = {**table["pools"], "spoilt": {"datasets": tuple(spoilt), "loss_against": "both"}}
    recipe = Replication.model_validate(
        {**table, "datasets": {**table["datasets"], **spoilt}, "pools": pools}
    )
    plan = plan_replication(recipe, TableSelection(datasets=("spoilt",)), store_root=tmp_path)
    assert {cell.dataset for cell in plan.cells} == {"one", "two", *spoilt}
    alone = plan_replication(recipe, TableSelection(datasets=("one-spoilt",)), store_root=tmp_path)
    assert {cell.dataset for cell in alone.cells} == {"one-spoilt"}


@pytest.mark.parametrize(
    ("variant", "base", "said"),
    [
        (
            {"measures": ("P@5",)},
            {},
            "variant is a loss against one, which does not have the measure",
        ),
        ({}, {"lists": "lists.trec"}, "but one is not searched with hype by walk"),
    ],
)
def test_a_loss_that_could_not_be_told_is_refused(
    make: Make,
    collection: str,
    table: dict[str, Any],
    variant: dict[str, Any],
    base: dict[str, Any],
    said: str,
) -> None:
    datasets = {
        "one": {**table["datasets"]["one"], **base},
        "variant": {"queries": f"{collection}/one", "loss_against": "one", **variant},
    }
    with pytest.raises(RecipeError, match=said) as refused:
        make(table={"datasets": datasets, "pools": {}})
    assert refused.value.hint


def test_a_pool_whose_loss_could_not_be_told_is_refused(
    collection: str, table: dict[str, Any], tmp_path: Path
) -> None:
    one = {"queries": f"{collection}/one"}
    datasets = {
        **table["datasets"],
        "two": {**table["datasets"]["two"], "lists": "lists.trec"},
        "three": one,
        "four": one,
    }
    pools = {**table["pools"], "others": {"datasets": ("three", "four"), "loss_against": "both"}}
    recipe = Replication.model_validate({**table, "datasets": datasets, "pools": pools})
    with pytest.raises(RecipeError, match=r"others is a loss .* two is not .* by walk"):
        plan_replication(recipe, TableSelection(datasets=("others",)), store_root=tmp_path)
    exact = TableSelection(datasets=("others",), searches=("exact",))
    assert len(plan_replication(recipe, exact, store_root=tmp_path).cells) == 8


@pytest.fixture
def followir(
    store: Store, table: dict[str, Any], hard_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> Replication:
    """A table of one of FollowIR's collections, prepared from a small release."""
    source = hard_tasks / "followir-test"
    prepare("followir-test", PrepareOptions(source=source), store_root=store.root)
    part = "followir-test/robust04"
    dataset = {
        "prepare": "followir-test",
        "queries": f"{part}/queries.og.jsonl",
        "corpus": part,
        "qrels": f"{part}/qrels.og.txt",
        "lists": f"{part}/top_ranked.trec",
        "changed_queries": f"{part}/queries.changed.jsonl",
        "changed_qrels": f"{part}/qrels.changed.txt",
    }
    published = {
        "source": "somewhere",
        "figures": (
            {"model": "hype", "dataset": "robust04", "values": {"p-MRR": -0.035}},
            {"model": "BM25", "dataset": "robust04", "values": {"p-MRR": -0.031}},
        ),
    }
    monkeypatch.chdir(store.root)
    return Replication.model_validate(
        {
            **table,
            "datasets": {"robust04": dataset},
            "pools": {},
            "measures": ("AP",),
            "published": published,
        }
    )


def test_lists_are_ranked_again(store: Store, followir: Replication) -> None:
    selection = TableSelection(models=("hype",))
    done = replicate(store, followir, ReplicateOptions(selection))
    given_input = store.run("lists-robust04").results()
    ranked = [run for run in store.artifacts("run") if run.inputs["engine"] == "rerank"]
    assert len(ranked) == 2
    for run in ranked:
        results = store.run(run.id).results()
        assert results.keys() == given_input.keys()
        for query, ranking in results.items():
            assert {doc for doc, _ in ranking} == {doc for doc, _ in given_input[query]}
    assert figure(done, "hype", "robust04", "exact", "AP").value is not None
    assert {one.search for one in done.figures} == {"exact"}
    status = replication_status(store, followir, selection, device="cpu")
    assert {one.state for one in status.steps} == {"done"}


def test_p_mrr_stands_in_the_table(store: Store, followir: Replication) -> None:
    selection = TableSelection(models=("hype",))
    before = replication_status(store, followir, selection, device="cpu")
    assert [one.kind for one in before.steps][-5:] == [
        "encode",
        "search",
        "eval",
        "search",
        "p-mrr",
    ]
    done = replicate(store, followir, ReplicateOptions(selection, references=True))
    runs = [run for run in store.artifacts("run") if run.inputs["engine"] == "rerank"]
    og, changed = sorted(runs, key=lambda run: "changed" in str(run.inputs["queries"]))
    assert [str(run.inputs["queries"]) for run in (og, changed)] == [
        "file:robust04/queries.og.jsonl",
        "file:robust04/queries.changed.jsonl",
    ]
    expected = p_mrr_by_hand(store, og.id, changed.id)
    here = figure(done, "hype", "robust04", "exact", "p-MRR")
    assert here.value == pytest.approx(expected)
    assert (here.published, here.base) == (-0.035, None)
    assert here.difference == pytest.approx(expected + 0.035)
    reference = figure(done, "BM25", "robust04", "exact", "p-MRR")
    assert (reference.value, reference.published) == (None, -0.031)
    assert [one.measure for one in done.figures] == ["AP", "p-MRR", "p-MRR"]
    again = replicate(store, followir, ReplicateOptions(selection))
    assert again.made == 0


def p_mrr_by_hand(store: Store, og: str, changed: str) -> float:
    """The mean over queries of the mean over documents whose grade the sample's files change."""
    folder = store.root / "data" / "followir-test" / "robust04"
    grades = []
    for name in ("og", "changed"):
        rows = [line.split() for line in (folder / f"qrels.{name}.txt").read_text().splitlines()]
        grades.append({(query, doc): grade for query, _, doc, grade in rows})
    ranks = [
        {
            (query, doc): rank
            for query, ranking in store.run(run).results().items()
            for rank, (doc, _) in enumerate(ranking, start=1)
        }
        for run in (og, changed)
    ]
    values: dict[str, list[float]] = {}
    for key, grade in grades[0].items():
        if grades[1].get(key) != grade:
            a, b = ranks[0][key], ranks[1][key]
            values.setdefault(key[0], []).append(1 - a / b if b > a else b / a - 1)
    assert values
    return sum(sum(each) / len(each) for each in values.values()) / len(values)


def test_a_pool_has_no_p_mrr(store: Store, followir: Replication) -> None:
    inputs = followir.model_dump()
    inputs["datasets"]["other"] = inputs["datasets"]["robust04"]
    inputs["pools"] = {"both": {"datasets": ("robust04", "other")}}
    done = replicate(
        store,
        Replication.model_validate(inputs),
        ReplicateOptions(TableSelection(models=("hype",))),
    )
    assert [one.measure for one in done.figures if one.dataset == "both"] == ["AP"]
