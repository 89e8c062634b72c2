"""Evaluations in the store: measures by the judgements' own convention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypencli.ops.evaluate import EvaluateOptions, evaluate
from hypencli.ops.transfer import import_run
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
    found = evaluate(store, "bm25", EvaluateOptions(qrels=NAME))
    assert found.qrels == f"irds:{NAME}"
    for ours, theirs in {
        "RR(rel=2)": "recip_rank",
        "P(rel=2)@10": "P_10",
        "R(rel=2)@1000": "recall_1000",
        "nDCG@10": "ndcg_cut_10",
    }.items():
        assert found.aggregates[ours] == pytest.approx(float(official[theirs]), abs=5.01e-5)
    plain = evaluate(store, "bm25", EvaluateOptions(qrels=NAME, measures=("RR",)))
    assert plain.aggregates["RR"] > found.aggregates["RR(rel=2)"]  # what is named stays as it is
