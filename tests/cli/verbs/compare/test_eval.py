"""``hype eval`` on real runs: p-MRR, thresholds, folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]


@pytest.fixture
def store(hype: Hype, tmp_path: Path) -> Path:
    assert hype("init", tmp_path / "store").code == 0
    return tmp_path / "store"


@pytest.fixture
def p_mrr(hype: Hype, store: Path, evaluation_goldens: Path) -> list[object]:
    """The arguments of an evaluation of the benchmark's case."""
    folder = evaluation_goldens / "pmrr"
    for name in ("og", "changed"):
        run = folder / f"case1_{name}.run"
        assert hype("import", "run", run, "--name", name, "--store", store).code == 0
    named = ["--qrels-og", folder / "case1_og.qrels"]
    named += ["--qrels-changed", folder / "case1_changed.qrels"]
    return ["eval", "--p-mrr", "og", "changed", *named, "--store", store]


def test_p_mrr_in_all_and_per_query(
    hype: Hype, p_mrr: list[object], evaluation_goldens: Path
) -> None:
    golden = json.loads((evaluation_goldens / "pmrr" / "golden.json").read_text(encoding="utf-8"))[
        "case1"
    ]
    drawn = hype(*p_mrr)
    assert drawn.code == 0
    assert "p-MRR of changed after og, 50 queries" in drawn.out
    rows = dict(line.split() for line in drawn.out.splitlines() if len(line.split()) == 2)
    assert rows["all"] == f"{golden['p-MRR']:.4f}"
    for query, value in golden["per_query"].items():
        assert rows[query] == f"{value:.4f}"
    outcome = hype(*p_mrr, "--json").json
    assert outcome["existing"]
    assert outcome["per_query"] == pytest.approx(golden["per_query"])
    board = hype("report", "--store", p_mrr[-1]).out
    assert "p-MRR" in board
    assert "-0.1058" in board


def test_queries_of_one_run_alone_are_said(
    hype: Hype, p_mrr: list[object], evaluation_goldens: Path, tmp_path: Path
) -> None:
    lines = (
        (evaluation_goldens / "pmrr" / "case1_changed.run").read_text(encoding="utf-8").splitlines()
    )
    fewer = [line for line in lines if not line.startswith("915593 ")]
    (tmp_path / "fewer.run").write_text("\n".join(fewer), encoding="utf-8")
    hype("import", "run", tmp_path / "fewer.run", "--store", p_mrr[-1])
    arguments = ["fewer" if part == "changed" else part for part in p_mrr]
    outcome = hype(*arguments)
    assert "1 queries are not in both runs and left out" in outcome.out
    assert "915593" in outcome.out
    assert len(hype(*arguments, "--json").json["per_query"]) == 49


def test_thresholds_are_trec_evals(hype: Hype, store: Path, evaluation_goldens: Path) -> None:
    folder = evaluation_goldens / "dlhard"
    hype("import", "run", folder / "passage" / "bm25.run", "--name", "bm25", "--store", store)
    named = ["eval", "bm25", "--qrels", folder / "dl_hard-passage.qrels", "--store", store]
    lines = (folder / "passage" / "bm25.run.eval").read_text(encoding="utf-8").splitlines()
    official = {line.split()[0]: line.split()[2] for line in lines if "\tall\t" in line}
    out = hype(*named, "--measures", "RR(rel=2), P(rel=2)@10 AP(rel=2)").out
    rows = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
    assert rows["RR(rel=2)"] == official["recip_rank"]
    assert rows["P(rel=2)@10"] == official["P_10"]
    assert rows["AP(rel=2)"] == official["map"]


def test_trailing_junk_is_refused_with_its_line(
    hype: Hype, store: Path, evaluation_goldens: Path
) -> None:
    outcome = hype(
        "import", "run", evaluation_goldens / "trec_eval" / "results.trunc", "--store", store
    )
    assert outcome.code == 5
    assert "results.trunc, line 1: 9 columns" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["eval", "--p-mrr", "hyper-run"], 2, "OG_RUN CHANGED_RUN"),
        (["eval", "--p-mrr", "hyper-run", "plain-run", "--qrels-og", "{qrels}"], 2, "needs two"),
        (["eval", "hyper-run", "plain-run", "--qrels", "{qrels}"], 2, "takes one"),
        (["eval", "hyper-run", "--qrels-og", "{qrels}"], 2, "need --p-mrr"),
        (["eval", "--p-mrr", "plain-run", "plain-run", "{both}"], 2, "the same run"),
        (["eval", "--p-mrr", "hyper-run", "plain-run", "{both}"], 5, "agree on every document"),
        (["eval", "--p-mrr", "hyper-run", "plain-rum", "{both}"], 4, "plain-run"),
    ],
)
def test_errors(
    hype: Hype,
    study: Path,
    tiny_collection: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    qrels = str(tiny_collection / "qrels.txt")
    both = ["--qrels-og", qrels, "--qrels-changed", qrels]
    filled = [
        part
        for argument in arguments
        for part in (both if argument == "{both}" else [argument.format(qrels=qrels, both="")])
    ]
    outcome = hype(*filled, "--store", study)
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert words in outcome.err


def test_means_by_folds_are_those_of_the_queries(
    hype: Hype, store: Path, evaluation_goldens: Path, tmp_path: Path
) -> None:
    folder = evaluation_goldens / "dlhard"
    run, qrels = folder / "passage" / "bm25.run", folder / "dl_hard-passage.qrels"
    assert hype("import", "run", run, "--name", "bm25", "--store", store).code == 0
    # trec_eval's own values of each query, which ties alone can change in the fourth place.
    lines = (folder / "passage" / "bm25.run.eval").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line.startswith("ndcg_cut_10 ")]
    golden = {query: float(value) for _, query, value in rows if query != "all"}
    queries = sorted(golden)
    halves = {"few": queries[:10], "many": [*queries[10:45], "nobody"]}
    (tmp_path / "folds.json").write_text(json.dumps(halves), encoding="utf-8")
    asked = ["eval", "bm25", "--qrels", qrels, "--measures", "nDCG@10", "--store", store]
    outcome = hype(*asked, "--folds", tmp_path / "folds.json", "--json").json["by_folds"]
    expected = {
        name: sum(golden[query] for query in part if query in golden)
        / (10 if name == "few" else 35)
        for name, part in halves.items()
    }
    assert {name: means["nDCG@10"] for name, means in outcome["folds"].items()} == pytest.approx(
        expected, abs=2e-3
    )
    assert outcome["means"]["nDCG@10"] == pytest.approx(
        sum(outcome["folds"][n]["nDCG@10"] for n in halves) / 2
    )
    assert (outcome["queries"], outcome["outside"], outcome["unjudged"]) == (
        {"few": 10, "many": 35},
        5,
        1,
    )
    drawn = hype(*asked, "--folds", tmp_path / "folds.json")
    assert "5 judged queries are in no fold" in drawn.out
    assert "1 queries of the folds have no judgements" in drawn.out
    (tmp_path / "other.txt").write_text("somebody a\n", encoding="utf-8")
    other = hype(*asked, "--folds", tmp_path / "other.txt")
    assert (other.code, "no query of fold 'a' is judged" in other.err) == (5, True)
    both = hype("eval", "--p-mrr", "a", "b", "--folds", tmp_path / "other.txt", "--store", store)
    assert both.code == 2


def test_a_run_of_no_named_corpus_is_not_called_none(
    hype: Hype, store: Path, evaluation_goldens: Path
) -> None:
    folder = evaluation_goldens / "pmrr"
    run = folder / "case1_og.run"
    assert hype("import", "run", run, "--name", "og", "--store", store).code == 0
    qrels = folder / "case1_og.qrels"
    assert hype("eval", "og", "--qrels", qrels, "--store", store).code == 0
    for words in (["report"], ["ls"]):
        printed = " ".join(hype(*words, "--store", store).out.split())
        assert "unnamed corpus" in printed
        assert "None" not in printed
