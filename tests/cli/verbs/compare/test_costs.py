"""``hype costs`` on runs of a real store: tables, plots, JSON, what to do next."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hypestore as hs

Hype = Callable[..., Any]
DOCUMENTS = [f"d{i}" for i in range(200)]


def put(
    store: hs.Store, name: str, *, found: int, k: int = 100, ms: float, **stats: Any
) -> hs.Manifest:
    """A run of 2 queries that has ``found`` of the 100 best documents."""
    engine = "exact" if name.startswith("exact") else "graph"
    inputs = {"engine": engine, "model": "nets-1", "embeddings": "set-1", "name": name, "k": k}
    about = {"corpus": "docs", "queries": "topics", "queries_fingerprint": "f1"}
    ranking = [*DOCUMENTS[:found], *DOCUMENTS[k : 2 * k - found]]
    with store.run_writer("run", {**inputs, **about}, name=name) as writer:
        writer.queries([("q1", "one"), ("q2", "two")])
        for query in ("q1", "q2"):
            ranks = list(range(1, k + 1))
            writer.append([query] * k, ranking, ranks, [-float(rank) for rank in ranks])
        seconds = {"scoring": ms * 2 / 1000, "topk": 0.0, "query_encoding": 0.008}
        return writer.commit(stats={"n_documents": 5000, "seconds": seconds, **stats})


@pytest.fixture
def store(tmp_path: Path) -> hs.Store:
    return hs.Store.create(tmp_path / "store")


@pytest.fixture
def searched(store: hs.Store) -> Path:
    """An exact run, two quicker ones, one that is only slower, and one that nobody checked."""
    put(store, "exact", found=100, ms=40.0)
    put(store, "near", found=90, ms=4.0, evaluations={"mean": 250.0})
    put(store, "far", found=50, ms=1.0, evaluations={"mean": 50.4})
    put(store, "slow", found=50, ms=9.0, evaluations={"mean": 300.0})
    return store.root


def rows(out: str) -> dict[str, list[str]]:
    """Lines of a table that begin with a letter: run -> cells."""
    lines = [line.split() for line in out.splitlines() if line.startswith("  ")]
    return {cells[1]: cells for cells in lines if len(cells) > 5 and len(cells[0]) == 1}


def test_the_table_says_what_each_took_and_found(hype: Hype, searched: Path) -> None:
    shown = hype("costs", "--store", searched)
    assert shown.code == 0
    assert "docs · topics, 5,000 documents" in shown.out
    (header,) = (line.split() for line in shown.out.splitlines() if "recall@10 " in line)
    # No column that says nothing: the model is one, recall@1000 is known of no run.
    columns = ["run", "engine", "ms", "evaluations", "%", "recall@10", "@100", "checked", "front"]
    assert header == columns
    actual = rows(shown.out)
    assert list(actual) == ["far", "near", "slow", "exact"]
    assert actual["far"][:5] == ["A", "far", "graph", "1.0000", "50"]
    assert actual["far"][5:] == ["1.0080", "1.0000", "0.5000", "2", "both"]
    assert actual["slow"][-1] == "2"  # on no front
    assert actual["exact"][-2:] == ["–", "time"]
    assert "without encoding it (4 ms)" in shown.out


def test_the_plots_show_runs_by_letter(hype: Hype, searched: Path) -> None:
    out = hype("costs", "--store", searched).out
    by_time, by_evaluations = out.split("recall@100 against ")[1:]
    lines = by_time.splitlines()
    assert lines[0] == "ms/query"
    assert lines[1].startswith("         1 ┤")
    assert lines[1].rstrip().endswith("D")
    assert lines[12].startswith("       0.5 ┤A")
    assert lines[12].count("C") == 1
    assert lines[14].split() == ["1", "(log)", "40"]
    assert by_evaluations.startswith("evaluations/query")
    assert "D" not in "".join(line[12:] for line in by_evaluations.splitlines()[1:13])


def test_another_depth(hype: Hype, searched: Path) -> None:
    out = hype("costs", "--k", 60, "--store", searched).out
    assert "recall@60 against ms/query" in out
    assert "@60" in out
    (actual,) = hype("costs", "--k", 60, "--store", searched, "--json").json
    recall = {cost["name"]: cost["recall"]["60"] for cost in actual["costs"]}
    assert recall == pytest.approx({"exact": 1.0, "near": 1.0, "far": 50 / 60, "slow": 50 / 60})


def test_as_json(hype: Hype, searched: Path) -> None:
    (actual,) = hype("costs", "--store", searched, "--json").json
    assert (actual["corpus"], actual["queries"], actual["depth"]) == ("docs", "topics", 100)
    near = actual["costs"][1]
    assert near["name"] == "near"
    assert near["recall"] == {"10": 1.0, "100": 0.9}
    assert (near["evaluations"], near["evaluations_share"]) == (250.0, 0.05)
    assert near["fronts"] == ["time", "evaluations"]
    assert near["checked_against"].startswith("run-")


def test_as_csv_markdown_and_latex_all_columns_are_there(hype: Hype, searched: Path) -> None:
    arguments = ["costs", "--store", searched, "--format"]
    read = list(csv.DictReader(io.StringIO(hype(*arguments, "csv").out)))
    assert [row["run"] for row in read] == ["far", "near", "slow", "exact"]
    assert [row["model"] for row in read] == ["nets-1"] * 4
    assert [float(row["recall@100"]) for row in read] == [0.5, 0.9, 0.5, 1.0]
    assert [float(row["ms/query"]) for row in read] == pytest.approx([1.0, 4.0, 9.0, 40.0])
    assert [row["front@100"] for row in read] == ["both", "both", "", "time"]
    assert [row["encoding ms/query"] for row in read] == ["4.0"] * 4
    assert "| near | graph | nets-1 | 4.0000 |" in hype(*arguments, "markdown").out
    assert "near & graph & nets-1 & 4.0000 &" in hype(*arguments, "latex").out


def test_what_is_lacking_is_said_with_what_would_give_it(hype: Hype, store: hs.Store) -> None:
    put(store, "near", found=90, ms=4.0)
    put(store, "short", found=9, k=10, ms=2.0)
    out = hype("costs", "--store", store.root).out
    assert "No recall@100 of short: fewer results than that." in out
    assert "No recall@100 of near: not checked" in out
    assert "Next: hype search QUERIES --model nets-1 --k 100" in out
    assert "against" not in out  # nothing to plot
    put(store, "exact", found=100, ms=40.0)
    out = hype("costs", "--store", store.root).out
    assert "not checked" not in out
    assert "recall@100 against ms/query" in out


def test_exact_searches_alone_are_not_plotted(hype: Hype, store: hs.Store) -> None:
    put(store, "exact-1", found=100, ms=40.0)
    put(store, "exact-2", found=100, ms=30.0)
    out = hype("costs", "--store", store.root).out
    assert set(rows(out)) == {"exact-1", "exact-2"}
    assert "All of these searches are exact. Next: hype search QUERIES --approx" in out
    assert "against" not in out


def test_times_of_several_machines_do_not_compare(hype: Hype, store: hs.Store) -> None:
    with store.run_writer("run", {"engine": "exact", "k": 5, "corpus": "docs"}) as writer:
        writer.queries([("q1", "one")])
        writer.commit(stats={"seconds": {"scoring": 1.0}}, provenance={"device": "cuda"})
    with store.run_writer("run", {"engine": "graph", "k": 5, "corpus": "docs"}) as writer:
        writer.queries([("q1", "one")])
        writer.commit(stats={"seconds": {"scoring": 1.0}}, provenance={"device": "cpu"})
    out = hype("costs", "--store", store.root).out
    assert "Times are from several machines and do not compare: cpu; cuda" in out


def test_a_store_without_searches_says_what_to_do(hype: Hype, store: hs.Store) -> None:
    shown = hype("costs", "--store", store.root)
    assert (shown.code, "Next: hype search" in shown.out) == (0, True)
    assert hype("costs", "--store", store.root, "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["costs", "--k", "0"], "--k"),
        (["costs", "a"], "a"),
        (["costs", "--format", "tabel"], "table"),
        (["report", "--k", "10"], "hype costs --k 10"),
        (["report", "--pareto"], "--pareto"),
    ],
)
def test_usage_errors(hype: Hype, store: hs.Store, arguments: list[str], words: str) -> None:
    refused = hype(*arguments, "--store", store.root)
    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err


def test_damaged_results_are_an_error_of_the_store(hype: Hype, searched: Path) -> None:
    store = hs.Store.open(searched)
    (store.path(store.get("exact")) / "results.parquet").write_bytes(b"x")
    refused = hype("costs", "--store", searched)
    assert refused.code == 4
    assert "hype doctor" in refused.err
    assert "results.parquet is 1 bytes long" in refused.err
