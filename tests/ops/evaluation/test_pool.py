"""Pools: runs of one system on several query sets, as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypencli.data.qrels import read_qrels
from hypencli.data.runs import read_run
from hypencli.errors import UsageError
from hypencli.evaluation import measures as library
from hypencli.ops.evaluation.pool import compare_pools, pool
from hypencli.ops.evaluation.run import EvaluateOptions, evaluate
from hypencli.ops.transfer.runs import import_run
from hypestore import Store

MEASURES = ("nDCG@10", "RR(rel=2)", "R(rel=2)@1000", "NumRet")
RUNS = {"bm25": "bm25.run", "bert": "bm25+bert(zs).run"}


@pytest.fixture(scope="module")
def dl_hard(evaluation_goldens: Path) -> Path:
    return evaluation_goldens / "dlhard"


def part(path: Path, target: Path, queries: set[str]) -> Path:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if line.split()[0] in queries))
    return target


@pytest.fixture(scope="module")
def halves(dl_hard: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two real runs on 13 queries of DL-HARD, and on the 37 others, each with its judgements."""
    folder = tmp_path_factory.mktemp("halves")
    store = Store.create(folder / "store")
    qrels = dl_hard / "dl_hard-passage.qrels"
    queries = list(read_qrels(qrels).qrels)
    for half, selected in (("first", set(queries[:13])), ("second", set(queries[13:]))):
        judged = part(qrels, folder / f"{half}.qrels", selected)
        for name, file in RUNS.items():
            run = part(dl_hard / "passage" / file, folder / f"{name}-{half}.run", selected)
            import_run(store, run)
            options = EvaluateOptions(qrels=str(judged), measures=MEASURES)
            evaluate(store, f"{name}-{half}", options)
    return store


def test_two_halves_have_the_figures_of_the_whole(halves: Store, dl_hard: Path) -> None:
    pooled = pool(halves, ("bm25-first", "bm25-second"), measures=MEASURES)
    results = read_run(dl_hard / "passage" / "bm25.run").results
    qrels = read_qrels(dl_hard / "dl_hard-passage.qrels").qrels
    whole = library.evaluate(results, qrels, library.parse_measures(MEASURES))
    assert pooled.aggregates == pytest.approx(dict(whole.aggregates))
    assert pooled.n_queries == 50
    assert [one.n_queries for one in pooled.runs] == [13, 37]
    lines = (dl_hard / "passage" / "bm25.run.eval").read_text(encoding="utf-8").splitlines()
    official = {line.split()[0]: line.split()[2] for line in lines if "\tall\t" in line}
    assert f"{pooled.aggregates['nDCG@10']:.4f}" == official["ndcg_cut_10"]
    assert f"{pooled.aggregates['RR(rel=2)']:.4f}" == official["recip_rank"]
    unweighted = sum(one.aggregates["nDCG@10"] for one in pooled.runs) / 2
    assert abs(pooled.aggregates["nDCG@10"] - unweighted) > 0.001


def test_two_pools_are_compared_as_whole_runs_are(halves: Store, dl_hard: Path) -> None:
    actual = compare_pools(
        halves, ("bm25-first", "bm25-second"), ("bert-second", "bert-first"), measures=MEASURES[:3]
    )
    qrels = read_qrels(dl_hard / "dl_hard-passage.qrels").qrels
    parsed = library.parse_measures(MEASURES[:3])
    whole = [
        library.evaluate(read_run(dl_hard / "passage" / file).results, qrels, parsed)
        for file in RUNS.values()
    ]
    wanted = library.compare(*whole, MEASURES[:3])
    assert (actual.n_queries, len(actual.tests)) == (50, 3)
    for own, other in zip(actual.tests, wanted, strict=True):
        assert (own.measure, own.wins, own.losses) == (other.measure, other.wins, other.losses)
        assert own.difference == pytest.approx(other.difference)
        assert own.p_values["t"] == pytest.approx(other.p_values["t"])
        assert own.p_values["wilcoxon"] == pytest.approx(other.p_values["wilcoxon"])
    assert (actual.run_a, actual.run_b) == ("bm25-first + bm25-second", "bert-second + bert-first")


@pytest.mark.parametrize("runs", [("bm25-first", "bert-first"), ("bm25-first", "bm25-first")])
def test_a_query_does_not_count_twice(halves: Store, runs: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="it would count twice") as caught:
        pool(halves, runs)
    assert "--against" in str(caught.value.hint)


def test_pools_on_different_judgements_are_not_compared(halves: Store) -> None:
    with pytest.raises(UsageError, match=r"measured on file:second\.qrels"):
        compare_pools(halves, ("bm25-first", "bm25-second"), ("bert-first",))


def test_a_run_that_was_not_measured_says_how(halves: Store, tmp_path: Path) -> None:
    (tmp_path / "new.run").write_text("q Q0 d 1 1.0 x\n", encoding="utf-8")
    import_run(halves, tmp_path / "new.run")
    with pytest.raises(UsageError, match="new was not measured") as caught:
        pool(halves, ("bm25-first", "new"))
    assert "hype eval new" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"was not measured with AP\.") as caught:
        pool(halves, ("bm25-first", "bm25-second"), measures=("AP",))
    assert "--measures AP" in str(caught.value.hint)


def test_measures_of_several_evaluations_come_together(halves: Store, dl_hard: Path) -> None:
    folder = halves.root.parent
    for half in ("first", "second"):
        options = EvaluateOptions(qrels=str(folder / f"{half}.qrels"), measures=("AP(rel=2)",))
        evaluate(halves, f"bert-{half}", options)
    pooled = pool(halves, ("bert-first", "bert-second"))
    assert set(pooled.measures) == {*MEASURES, "AP(rel=2)"}
    assert pooled.n_queries == 50
