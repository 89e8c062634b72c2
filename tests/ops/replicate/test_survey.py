"""What a dry run says: states of steps, and estimates of the others."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hypencli.errors import RecipeError
from hypencli.ops.replicate.selection import TableSelection
from hypencli.ops.replicate.survey import replication_status
from hypencli.recipe.replication import Replication, load_replication
from hypestore import Store
from tests.ops.replicate.conftest import Make, look, states


def test_a_dry_run_tells_what_is_done_and_what_is_to_do(
    make: Make, store: Store, table: dict[str, Any]
) -> None:
    before = look(store, table)
    assert [step for state, step in states(before) if state == "done"] == [
        "model hyper",
        "model plain",
    ]
    assert {state for state, _ in states(before)} == {"done", "to do"}
    make(selection=TableSelection(("hype",), ("one",), ("exact",)))
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
    make(selection=TableSelection(("bi",)))
    for change, kinds in (
        ({"k": 10}, {"search", "eval"}),
        ({"measures": ("P@1",)}, {"eval"}),
        ({"encoding": {"max_length": 16}}, {"encode", "search", "eval"}),
        ({"dtype": "bfloat16"}, {"search", "eval"}),
    ):
        recipe = Replication.model_validate({**table, **change})
        status = replication_status(store, recipe, TableSelection(("bi",)), device="cpu")
        assert {one.kind for one in status.steps if one.state == "to do"} == kinds


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
        *(step.step for step in first.steps if step.kind == "graph"),
        "search one with hyper (walk)",
        "search one with plain (exact)",  # no q-nets, whose scores are assumed to take so long
    }
    assert first.seconds == pytest.approx(2 * 120 / 30 + 12 * 120 / 1.8e4)
    assert first.unknown_disk == ()
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


def test_a_model_that_is_not_there_is_taken_for_a_bert_base(
    store: Store, table: dict[str, Any], tiny_collection: Path
) -> None:
    one = {
        "queries": str(tiny_collection / "queries.jsonl"),
        "corpus": str(tiny_collection / "corpus.jsonl"),
        "qrels": str(tiny_collection / "qrels.txt"),
    }
    models = {
        "far": {"source": "someone/somewhere"},
        "plain": {"source": "someone/elsewhere", "pooling": "cls", "searches": ("exact",)},
    }
    small = {"models": models, "datasets": {"one": one}, "pools": {}}
    actual = look(store, table, **small, encoding={"storage_dtype": "float32"})
    by_step = {step.step: step.estimate for step in actual.steps}
    assert (
        by_step[f"encode …/{tiny_collection.name}/corpus.jsonl with someone/somewhere"].bytes
        == 120 * 768 * 4
    )
    assert "vectors 768 wide, assumed: a BERT base" in actual.bases
    assert by_step["search one with someone/somewhere (exact)"].seconds == 12 * 120 / 1.8e4
    assert by_step["search one with someone/elsewhere (exact)"].seconds is None


def test_a_package_that_neighbours_need_is_missed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Store.create(tmp_path / "study")
    efficient = load_replication("efficient")

    def seen(recipe: Replication) -> dict[str, tuple[str, str | None]]:
        status = replication_status(empty, recipe, TableSelection(), device="cpu")
        return {one.step.partition(" ")[0]: (one.state, one.note) for one in status.steps}

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "hnswlib" or find(name))
    assert seen(efficient)["graph"][0] == "to do"
    absent = ("hnswlib", "pynndescent", "faiss")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else find(name)
    )
    state, note = seen(efficient)["graph"]
    assert (state, "pip install 'pynndescent>=0.7'" in str(note)) == ("missing", True)
    assert seen(efficient)["search"][0] == "waiting"
    exact = load_replication("efficient", ["graph.builder=exact"])
    assert seen(exact)["graph"] == ("to do", None)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"engine": "grahp"}, "searches.walk: There is no engine 'grahp'"),
        ({"engine": "graph", "candidates": 0}, "searches.walk: candidates=0 is not a value"),
        ({"engine": "graph", "gain": 0.1}, "searches.walk: gain is an option of guided"),
        (
            {"engine": "graph", "preset": "quick"},
            "searches.walk: The engine graph has no preset quick",
        ),
    ],
)
def test_a_search_that_no_engine_can_do_is_refused_before_any_step(
    store: Store, table: dict[str, Any], search: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        look(store, table, searches={"exact": {}, "walk": search})
