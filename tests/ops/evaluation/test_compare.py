"""Comparisons of two runs: which of their evaluations count."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.errors import UsageError
from hypencli.ops.evaluation.compare import compare
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
from hypencli.ops.transfer.runs import import_run
from hypestore import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two runs of two queries, each evaluated with nDCG@10; ``qrels.txt`` lies beside the store."""
    store = Store.create(tmp_path / "store")
    (tmp_path / "qrels.txt").write_text("1 0 a 1\n2 0 b 1\n", encoding="utf-8")
    for name, first in {"good": "a", "bad": "x"}.items():
        path = tmp_path / f"{name}.run"
        path.write_text(f"1 Q0 {first} 1 2.0 x\n2 Q0 b 1 1.0 x\n", encoding="utf-8")
        import_run(store, path)
        measure(store, name, "nDCG@10")
    return store


def measure(store: Store, run: str, measure: str) -> None:
    qrels = str(store.root.parent / "qrels.txt")
    evaluate(store, run, EvaluateOptions(qrels=qrels, measures=(measure,)))


def test_a_later_evaluation_hides_no_measure(store: Store) -> None:
    """Each run counts with all its evaluations on the same judgements, not only the newest."""
    measure(store, "bad", "AP")
    compared = compare(store, "bad", "good")
    assert [test.measure for test in compared.tests] == ["nDCG@10"]
    measure(store, "good", "RR")
    measure(store, "good", "AP")
    compared = compare(store, "bad", "good")
    assert {test.measure: test.difference for test in compared.tests} == {"nDCG@10": 0.5, "AP": 0.5}


def test_runs_without_a_common_measure_are_refused(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        compare(store, "bad", "good", measures=("AP",))
    assert "nDCG@10" in str(caught.value.hint)
