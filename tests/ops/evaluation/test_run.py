"""Evaluations in the store: measures by the judgements' own convention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli.ops.evaluation.run import EvaluateOptions, evaluate, existing_evaluation
from hypencli.ops.transfer.runs import import_run
from hypestore import Store

NAME = "msmarco-passage/trec-dl-of-a-test"


@pytest.fixture
def dl_hard(evaluation_goldens: Path) -> Iterator[Path]:
    """The judgements of DL-HARD as a dataset of ir_datasets, which counts them as TREC does."""
    import ir_datasets
    from ir_datasets.formats import TrecQrels
    from ir_datasets.util import LocalDownload

    folder = evaluation_goldens / "dlhard"
    source = LocalDownload(folder / "dl_hard-passage.qrels", mkdir=False)
    ir_datasets.registry.register(NAME, ir_datasets.Dataset(TrecQrels(source, {})))
    yield folder / "passage"
    del ir_datasets.registry._registered[NAME]


def test_deep_learning_runs_have_the_official_figures_without_a_word(
    dl_hard: Path, tmp_path: Path
) -> None:
    """Those of ``trec_eval -l 2``, which came with the run."""
    lines = (dl_hard / "bm25.run.eval").read_text(encoding="utf-8").splitlines()
    columns = [line.split() for line in lines]
    official = {name: value for name, query, value in columns if query == "all"}
    store = Store.create(tmp_path / "store")
    import_run(store, dl_hard / "bm25.run", name="bm25")
    evaluated = evaluate(store, "bm25", EvaluateOptions(qrels=NAME))
    assert evaluated.qrels == f"irds:{NAME}"
    for ours, theirs in {
        "RR(rel=2)": "recip_rank",
        "P(rel=2)@10": "P_10",
        "R(rel=2)@1000": "recall_1000",
        "nDCG@10": "ndcg_cut_10",
    }.items():
        assert evaluated.aggregates[ours] == pytest.approx(float(official[theirs]), abs=5.01e-5)
    plain = evaluate(store, "bm25", EvaluateOptions(qrels=NAME, measures=("RR",)))
    assert (
        plain.aggregates["RR"] > evaluated.aggregates["RR(rel=2)"]
    )  # what is named stays as it is


def test_an_evaluation_is_found_by_all_that_it_is_made_from(dl_hard: Path, tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("1 0 a 1\n1 0 b 0\n", encoding="utf-8")
    run = tmp_path / "run.trec"
    run.write_text("1 Q0 a 1 2.0 x\n1 Q0 b 2 1.0 x\n", encoding="utf-8")
    store = Store.create(tmp_path / "store")
    manifest = store.get(import_run(store, run).run)
    by_file = EvaluateOptions(qrels=str(qrels), measures=("RR", "P@1"))
    assert existing_evaluation(store, manifest, by_file) is None
    done = evaluate(store, manifest.id, by_file)
    existing = existing_evaluation(store, manifest, by_file)
    assert existing is not None
    assert existing.id == done.evaluation
    fewer = EvaluateOptions(qrels=str(qrels), measures=("RR",))
    assert existing_evaluation(store, manifest, fewer) is None
    qrels.write_text("1 0 a 0\n1 0 b 1\n", encoding="utf-8")
    assert existing_evaluation(store, manifest, by_file) is None, "other judgements"


def test_judgements_of_ir_datasets_are_not_read_to_find_an_evaluation(
    dl_hard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ir_datasets.formats import TrecQrels

    store = Store.create(tmp_path / "store")
    manifest = store.get(import_run(store, dl_hard / "bm25.run").run)
    done = evaluate(store, manifest.id, EvaluateOptions(qrels=NAME))
    monkeypatch.delattr(TrecQrels, "qrels_iter")
    existing = existing_evaluation(store, manifest, EvaluateOptions(qrels=NAME))
    assert existing is not None
    assert existing.id == done.evaluation
