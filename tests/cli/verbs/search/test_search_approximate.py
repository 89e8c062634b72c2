"""Approximate search at the command line: engines, two stages, checks, calibration."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Hype = Callable[..., Any]
Search = Callable[..., Any]
USAGE, STORE, DATA = 2, 4, 5


@pytest.fixture
def search(hype: Hype, study: Path, tiny_collection: Path) -> Search:
    """Search the tiny collection; its store has the model hyper and the bi-encoder plain."""

    def run(*arguments: object, model: str = "hyper") -> Any:
        queries = tiny_collection / "queries.jsonl"
        return hype("search", queries, "--model", model, *arguments, "--store", study)

    return run


def test_approximate_search_says_what_it_cost_and_missed(search: Search) -> None:
    done = search("--approx", "--k", 5, "--check", 4)
    assert done.code == 0, done.err
    assert "(guided, k=5)" in done.out
    assert "q-net evaluations a query:" in done.out
    assert "selection" in done.out
    assert "Recall of exact search, 4 queries: @5" in done.out


def test_an_exact_run_that_is_there_is_the_measure(search: Search) -> None:
    exact = search("--k", 20, "--name", "all", "--json").json
    done = search("--approx", "--k", 10, "--json").json
    assert done["check"]["against"] == exact["run"]
    assert done["check"]["n_queries"] == exact["n_queries"]
    assert set(done["check"]["recall"]) == {"10"}
    assert 0.5 < done["check"]["recall"]["10"] <= 1.0
    assert exact["check"] is None
    assert exact["evaluations"] == {"mean": 120.0, "min": 120, "max": 120}


def test_a_budget_of_all_documents_is_exact_search(search: Search) -> None:
    done = search("--approx", "--k", 5, "--budget", 120, "--check", 10, "--json").json
    assert done["check"]["recall"]["5"] == 1.0
    assert done["evaluations"]["mean"] == 120.0
    measures = done["check"]["measures"]
    assert all(values["exact"] == values["approximate"] for values in measures.values())


def test_a_scan_says_what_float32_made_of_it(search: Search) -> None:
    done = search("--k", 5, "-o", "scan=bfloat16")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "First pass in bfloat16, checked by an error bound:" in said
    assert "documents a query scored again in float32" in said
    assert "0 searched in float32 throughout" in said
    scan = search("--k", 5, "-o", "scan=bfloat16", "--json").json["scan"]
    assert scan["certified"] is True
    assert scan["rescored"]["min"] >= 5
    rough = search("--k", 5, "-o", "scan=bfloat16", "-o", "certify=false")
    assert "First pass in bfloat16, unchecked" in rough.out
    assert search("--k", 6, "--json").json["scan"] is None


def test_exact_search_is_checked_and_done_again(search: Search) -> None:
    scan = ("--k", 5, "-o", "scan=bfloat16")
    checked = search(*scan, "--check", 3)
    assert "Recall of exact search, 3 queries: @5 1.0000." in checked.out
    assert "3 of 3 rankings are the same." in checked.out
    refused = search(*scan, "--again")
    assert refused.code == USAGE
    assert "Leave --again out" in refused.err
    run = search(*scan, "--json").json["run"]
    again = search("--k", 5, "-o", "scan=float32", "--again")
    assert again.code == 0, again.err
    assert "Searched again" in again.out
    assert f"Documents shared with run {run}: @5 1.0000." in again.out
    assert "12 of 12 rankings are the same." in again.out
    assert "First pass" not in again.out


def test_a_scan_needs_exact_search_in_float32(search: Search) -> None:
    for arguments in (
        ("--approx", "-o", "scan=bfloat16"),
        ("-o", "certify=false"),
        ("-o", "scan=bfloat16", "--dtype", "bfloat16"),
    ):
        done = search("--k", 5, *arguments)
        assert done.code == USAGE
        assert "scan" in done.err


def test_the_search_of_the_paper_needs_a_graph_and_takes_its_presets(
    hype: Hype, search: Search, study: Path
) -> None:
    lacking = search("--engine", "graph", "--k", 5)
    assert lacking.code == USAGE
    assert "hype graph" in lacking.err
    assert hype("graph", "hyper-docs", "--k", 10, "--store", study).code == 0
    done = search("--engine", "graph", "-o", "preset=efficient-2", "--k", 5, "--check", 3, "--json")
    # As many entry points as there are documents.
    assert done.json["check"]["recall"]["5"] == 1.0
    walked = search(
        "--engine", "graph", "-o", "entry_points=4", "-o", "candidates=2", "--k", 5, "--json"
    )
    assert walked.json["evaluations"]["mean"] < 120
    shown = hype("show", walked.json["run"], "--store", study, "--json").json["manifest"]["inputs"]
    assert (shown["entry_points"], shown["candidates"], shown["seed"]) == (4, 2, 43)


def test_the_same_search_twice_is_done_once_and_other_settings_are_another(search: Search) -> None:
    first = search("--approx", "--k", 5, "--json").json
    again = search("--approx", "--k", 5, "--json").json
    other = search("--approx", "--k", 5, "-o", "gain=0.5", "--json").json
    assert (again["existing"], again["run"]) == (True, first["run"])
    assert other["run"] != first["run"]
    assert again["evaluations"] == first["evaluations"]


def test_vector_indexes_are_for_bi_encoders(search: Search) -> None:
    pytest.importorskip("faiss")
    flat = search("--engine", "faiss-flat", "--k", 5, "--check", 5, "--json", model="plain").json
    assert flat["check"]["recall"]["5"] == 1.0
    assert flat["evaluations"] is None
    refused = search("--engine", "faiss-flat", "--k", 5)
    assert refused.code == USAGE
    assert "q-nets" in refused.err
    assert "guided" in refused.err


def test_a_run_is_reranked(search: Search, hype: Hype, study: Path) -> None:
    assert search("--k", 15, "--name", "first", model="plain").code == 0
    reranked = search("--rerank", "first", "--k", 5, "--json")
    assert reranked.code == 0, reranked.out
    done = reranked.json
    assert (done["engine"], done["evaluations"]["mean"]) == ("rerank", 15.0)
    parents = hype("show", done["run"], "--store", study, "--json").json["parents"]
    assert "first" in {parent["name"] for parent in parents}


def test_only_the_lists_of_a_file_are_ranked(
    search: Search, tmp_path: Path, study: Path, hype: Hype
) -> None:
    lists = tmp_path / "top_ranked.trec"
    exported = hype("export", "run", "plain-run", "--output", lists, "--store", study)
    assert exported.code == 0
    done = search("--rerank-lists", lists, "--k", 3, "--json").json
    assert (done["engine"], done["evaluations"]["max"]) == ("rerank", 20)
    again = search("--rerank-lists", lists, "--k", 3, "--json").json
    assert again["existing"]
    both = search("--rerank-lists", lists, "--rerank", "plain-run")
    assert (both.code, "exclude" in both.err) == (USAGE, True)


def test_lists_that_were_taken_in_before_are_not_taken_in_twice(
    search: Search, tmp_path: Path, study: Path, hype: Hype
) -> None:
    lists = tmp_path / "mine.trec"
    assert hype("export", "run", "plain-run", "--output", lists, "--store", study).code == 0
    first = hype("import", "run", lists, "--corpus", "elsewhere", "--store", study, "--json").json
    done = search("--rerank-lists", lists, "--k", 2, "--json").json
    parents = hype("show", done["run"], "--store", study, "--json").json["parents"]
    assert first["run"] in {parent["id"] for parent in parents}


def test_lists_of_a_prepared_dataset_have_its_name(search: Search, study: Path, hype: Hype) -> None:
    prepared = study / "data" / "listed"
    prepared.mkdir(parents=True)
    (prepared / "dataset.json").write_text("{}", encoding="utf-8")
    lists = prepared / "top_ranked.trec"
    assert hype("export", "run", "plain-run", "--output", lists, "--store", study).code == 0
    assert search("--rerank-lists", "listed/top_ranked.trec", "--k", 4).code == 0
    missing = search("--rerank-lists", "listed/none.trec", "--k", 4)
    assert missing.code == DATA
    assert "listed/none.trec" in missing.err


def test_two_stages_in_one_command_are_two_runs(search: Search) -> None:
    both = search("--first", "plain", "--first-k", 20, "--k", 5, "--json").json
    assert (both["first"]["k"], both["first"]["engine"]) == (20, "exact")
    assert (both["second"]["engine"], both["second"]["evaluations"]["max"]) == ("rerank", 20)
    text = search("--first", "plain", "--first-k", 20, "--k", 5).out
    assert text.count("Had searched") == 2
    assert text.count("Nothing was computed now; that search took ") == 2
    assert "Time:" not in text


def test_a_calibration_gives_the_setting_for_a_recall(
    hype: Hype, search: Search, study: Path, tiny_collection: Path
) -> None:
    assert hype("graph", "hyper-docs", "--k", 10, "--store", study).code == 0
    unknown = search("--engine", "graph", "--recall", 0.9, "--k", 10)
    assert unknown.code == USAGE
    remedy = re.search(r"Measure it: hype (calibrate QUERIES .+)", unknown.err)
    assert remedy is not None
    queries = tiny_collection / "queries.jsonl"
    line = remedy[1].replace("QUERIES", str(queries))
    assert hype(*shlex.split(line), "--sample", 2, "--store", study).code == 0
    assert search("--engine", "graph", "--recall", 0.1, "--k", 10).code == 0
    no_queries = hype(
        "calibrate", "--model", "hyper", "--embeddings", "hyper-docs", "--store", study
    )
    assert no_queries.code == USAGE
    assert "Name the queries: " in no_queries.err
    arguments = ["calibrate", queries, "--model", "hyper", "--sample", 6, "--store", study]
    curve = hype(*arguments, "--json").json["curve"]
    assert {point["k"] for point in curve} == {10, 100, 1000}
    assert all(0 <= point["recall"] <= 1 for point in curve)
    assert json.loads(curve[0]["setting"])["gain"] == 0.8
    assert "Already measured" in hype(*arguments).out
    searched = search("--approx", "--recall", 0.6, "--k", 10, "--json").json
    inputs = hype("show", searched["run"], "--store", study, "--json").json["manifest"]["inputs"]
    fitting = [point for point in curve if point["k"] == 10 and point["recall"] >= 0.6]
    cheapest = min(fitting, key=lambda point: point["evaluations"])
    assert inputs["gain"] == json.loads(cheapest["setting"])["gain"]
    assert inputs["recall"] == 0.6
    alone = search("--recall", 0.6, "--k", 10, "--json").json
    assert (alone["run"], alone["existing"]) == (searched["run"], True)
    assert "guided, 6 queries" in hype("ls", "calibrations", "--store", study).out


def test_without_a_calibration_each_query_states_its_recall(
    hype: Hype, search: Search, study: Path
) -> None:
    """So small a corpus is searched exactly; the bounds are printed, stored, and in SQL."""
    done = search("--approx", "--recall", 0.9, "--k", 10, "--check", 12)
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "Recall of each query by its bound: at least 1.0000, mean 1.0000." in said
    assert "for 95% of the queries; 12 of 12 were searched exactly" in said
    again = search("--approx", "-o", "recall=0.9", "--k", 10, "--check", 12, "--json").json
    assert again["existing"], "--recall without a calibration sets the engine's own recall"
    assert again["recall_bound"] == {"mean": 1.0, "min": 1.0, "confidence": 0.95, "exact": 12}
    assert again["check"]["recall"] == {"10": 1.0}
    assert again["evaluations"] == {"mean": 120.0, "min": 120, "max": 120}
    sql = (
        "SELECT count(*), min(c.recall_bound), sum(c.evaluations), min(e.recall_bound_min) "
        f"FROM per_query_costs c JOIN efficiency e USING (run) WHERE run = '{again['run']}'"
    )
    rows = hype("report", "--sql", sql, "--store", study, "--format", "csv").out.splitlines()
    assert rows[1] == "12,1.0,1440,1.0"
    other = search("--approx", "--k", 10, "--json").json
    assert other["recall_bound"] is None
    null = f"SELECT count(recall_bound) FROM per_query_costs WHERE run = '{other['run']}'"
    assert hype("report", "--sql", null, "--store", study, "--format", "csv").out.split()[1] == "0"


def test_one_question_states_its_recall(hype: Hype, study: Path) -> None:
    ask = ["query", "river and boat", "--model", "hyper", "--store", study, "--k", 3]
    answer = hype(*ask, "--approx", "--recall", 0.9)
    said = re.search(r"Recall: at least (\S+) by its bound, after (\d+) q-net", answer.out)
    assert said is not None
    assert 0.9 <= float(said[1]) <= 1
    assert 3 <= int(said[2]) <= 120
    assert hype(*ask, "--json").json["recall_bound"] is None


def test_a_graph_is_made_and_calibrated_at_once(
    hype: Hype, search: Search, study: Path, tiny_collection: Path
) -> None:
    asked = ["--calibrate", "--queries", tiny_collection / "queries.jsonl", "--sample", 4]
    graph = ["graph", "hyper-docs", "--k", 8, "--model", "hyper", *asked, "--store", study]
    outcome = hype(*graph, "--json").json
    assert [one["engine"] for one in outcome["calibrations"]] == ["guided", "graph"]
    settings = [json.loads(point["setting"]) for point in outcome["calibrations"][1]["curve"]]
    # Settings that differ only in entry points beyond the corpus are measured once.
    assert len({json.dumps(setting) for setting in settings}) * 3 == len(settings)
    assert max(setting["entry_points"] for setting in settings) == 120
    assert search("--engine", "graph", "--recall", 0.5, "--k", 10).code == 0
    assert "entry points" in hype(*graph).out


def test_one_question_approximately(hype: Hype, study: Path) -> None:
    """Which documents it finds depends on the processor, which trained the model; scores do not."""
    ask = ["query", "river and boat", "--model", "hyper", "--store", study, "--json"]
    exact = hype(*ask, "--k", 120).json["hits"]
    quick = hype(*ask, "--approx", "--k", 3).json["hits"]
    scores = {hit["doc_id"]: hit["score"] for hit in exact}
    assert len(quick) == 3
    assert [hit["score"] for hit in quick] == [scores[hit["doc_id"]] for hit in quick]


REFUSED = {
    "two engines": (["--approx", "--engine", "exact"], "exclude each other"),
    "rerank and engine": (["--rerank", "hyper-run", "--engine", "graph"], "exclude each other"),
    "budget and gain": (["--approx", "--budget", "50", "-o", "gain=0.1"], "exclude each other"),
    "budget and recall": (["--approx", "--budget", "50", "--recall", "0.9"], "exclude each other"),
    "budget of another engine": (["--budget", "50"], "engine guided"),
    "entry points of another engine": (["--approx", "-o", "entry-points=5"], "engine graph"),
    "preset of another engine": (["-o", "preset=efficient-1"], "engine graph"),
    "confidence without recall": (["--approx", "-o", "confidence=0.9"], "no recall is set"),
    "recall and gain": (["--approx", "-o", "recall=0.9", "-o", "gain=0.1"], "exclude each other"),
    "recall of exact search": (["--engine", "exact", "--recall", "0.9"], "guided and graph"),
    "recall above 1, alone": (["--recall", "1.5"], "at most 1, not 1.5"),
    "recall above 1": (["--approx", "--recall", "1.5"], "at most 1, not 1.5"),
    "budget below k": (["--approx", "--budget", "3", "--k", "5"], "Raise it to 5"),
    "budget of k but for its own": (
        ["--approx", "--budget", "5", "--k", "5", "--exclude-same-id"],
        "cannot rank 6 documents",
    ),
    "index parameter of another engine": (["-o", "ef_search=9"], "hnsw"),
    "malformed index parameter": (["--engine", "hnsw", "-o", "ef_search"], "NAME=VALUE"),
    "first stage and engine": (["--first", "plain", "--approx"], "--first-engine"),
    "first stage and budget": (["--first", "plain", "--budget", "9"], "--first-engine"),
    "gain above 1": (["--approx", "-o", "gain=2"], "at most 1"),
    "option set twice": (["--approx", "-o", "budget=9", "--budget", "9"], "set twice"),
    "option twice": (["--approx", "-o", "gain=0", "-o", "gain=1"], "set twice"),
    "misspelt option": (["--approx", "-o", "gian=0.1"], "Did you mean 'gain'"),
    "no such engine": (["--engine", "hnws"], "hnsw"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_do_not_go_together(case: str, search: Search, study: Path) -> None:
    arguments, words = REFUSED[case]
    before = sorted(study.rglob("*"))
    outcome = search(*arguments)
    assert outcome.code == USAGE, outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert [path for path in sorted(study.rglob("*")) if path not in before] == []


def test_a_run_of_other_documents_cannot_be_reranked(
    hype: Hype, search: Search, study: Path, tmp_path: Path
) -> None:
    run = tmp_path / "other.trec"
    run.write_text("q0 Q0 elsewhere 1 0.5 bm25\n", encoding="utf-8")
    assert hype("import", "run", run, "--name", "other", "--store", study).code == 0
    refused = search("--rerank", "other", "--k", 5)
    assert refused.code == DATA
    assert "'elsewhere'" in refused.err
    assert search("--rerank", "none-such", "--k", 5).code == STORE
    assert hype("doctor", "--store", study).code == 0
