"""Fused runs in the store: lineage, what determines them, what does not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.errors import UsageError
from hypencli.evaluation.fusion import Fusion
from hypencli.ops.search.fuse import fuse
from hypencli.ops.transfer.runs import import_run
from hypestore import Store

RUNS = ("hyper-run", "plain-run")


@pytest.fixture
def store(study: Path) -> Store:
    return Store.open(study)


def test_a_fused_run_has_its_parents_and_parameters(store: Store) -> None:
    done = fuse(store, RUNS, Fusion(k=10), name="both")
    manifest = store.get("both", kind="run")
    ids = [store.get(run, kind="run").id for run in RUNS]
    assert list(manifest.parents) == manifest.inputs["runs"] == ids
    assert (manifest.inputs["engine"], manifest.inputs["rrf_k"], manifest.inputs["k"]) == (
        "rrf",
        60,
        10,
    )
    assert manifest.inputs["corpus"] == store.get("hyper-run", kind="run").inputs["corpus"]
    assert (done.n_queries, done.n_results, done.partial_queries) == (12, 120, 0)
    assert store.run("both").queries() == store.run("hyper-run").queries()
    (row,) = store.catalog.query(
        "SELECT model, embeddings, engine FROM runs WHERE name = 'both'"
    ).rows
    assert row == (None, None, "rrf")


def test_its_scores_are_the_sums(store: Store) -> None:
    fuse(store, RUNS, name="both")
    ranks = [
        {q: {d: i for i, (d, _) in enumerate(r, 1)} for q, r in store.run(run).results().items()}
        for run in RUNS
    ]
    for query, ranking in store.run("both").results().items():
        assert {doc for doc, _ in ranking} == {*ranks[0][query], *ranks[1][query]}
        for doc, score in ranking:
            wanted = sum(1 / (60 + rank[query][doc]) for rank in ranks if doc in rank[query])
            assert score == pytest.approx(wanted)


def test_only_what_a_method_uses_makes_another_run(store: Store) -> None:
    first = fuse(store, RUNS, Fusion("rrf", normalise="none"))
    again = fuse(store, RUNS, Fusion("rrf"))
    assert (first.existing, again.existing, again.run) == (False, True, first.run)
    assert fuse(store, RUNS, Fusion("rrf", rrf_k=10)).run != first.run
    alike = fuse(store, RUNS, Fusion("interpolate"))
    assert fuse(store, RUNS, Fusion("interpolate", weights=(0.5, 0.5))).run == alike.run
    assert fuse(store, RUNS, Fusion("interpolate", weights=(0.7, 0.3))).run != alike.run
    assert store.doctor().healthy


def test_it_is_evaluated_where_judgements_are_known(store: Store, tiny_collection: Path) -> None:
    assert fuse(store, RUNS).evaluation is None
    named = fuse(store, RUNS, qrels=str(tiny_collection / "qrels.txt"), measures=("P@5",))
    assert named.evaluation is not None
    assert named.existing
    assert set(named.evaluation.aggregates) == {"P@5"}


def test_runs_that_do_not_go_together_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.run").write_text("other Q0 d1 1 1.0 x\n", encoding="utf-8")
    (tmp_path / "y.run").write_text("q1 Q0 d1 1 1.0 x\n", encoding="utf-8")
    import_run(store, tmp_path / "x.run")
    import_run(store, tmp_path / "y.run", corpus="elsewhere")
    for runs, problem in (
        (("hyper-run",), "two different runs"),
        (("hyper-run", "hyper-run"), "two different runs"),
        (("hyper-run", "x"), "no query in common"),
        (("hyper-run", "y"), "different corpora: elsewhere, file:"),
    ):
        with pytest.raises(UsageError, match=problem):
            fuse(store, runs)
    with pytest.raises(UsageError, match="1 weights for 2 runs"):
        fuse(store, RUNS, Fusion("interpolate", weights=(1.0,)))
    assert store.unfinished() == []


def test_queries_of_one_run_are_counted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "y.run").write_text("q1 Q0 d1 1 1.0 x\n", encoding="utf-8")
    import_run(store, tmp_path / "y.run")
    done = fuse(store, ("y", "hyper-run"), Fusion("combsum"))
    assert (done.n_queries, done.partial_queries) == (12, 11)
    assert store.run(done.run).queries()["q1"].startswith("what is")
