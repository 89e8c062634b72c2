"""``hype graph``, ``export graph``, ``import graph``: text, JSON, and every way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hypencli

Hype = Callable[..., Any]
USAGE, STORE, DATA, MODEL = 2, 4, 5, 6


@pytest.fixture
def near(hype: Hype, study: Path) -> Any:
    """What making a graph of the Hypencoder's embeddings says."""
    return hype("graph", "hyper-docs", "--k", 10, "--name", "near", "--store", study)


def test_a_graph_is_made_once(hype: Hype, study: Path, near: Any) -> None:
    assert near.code == 0, near.err
    assert "Made: near (" in near.out
    assert "10 neighbours by l2 for each of 120 documents" in near.out
    assert "Builder: exact" in near.out
    assert "builder: exact (120 documents)" in near.err
    again = hype("graph", "hyper-docs", "--k", 10, "--name", "near", "--store", study)
    assert "Already there: near" in again.out
    assert "Builder" not in again.out
    store = hypencli.open_store(study).store
    assert store.graph("near").neighbours.shape == (120, 10)


def test_a_graph_as_json(hype: Hype, study: Path) -> None:
    by_model = ["graph", "--model", "plain", "--metric", "cos", "-k", 5, "--store", study]
    outcome = hype(*by_model, "--json").json
    assert "-cos-k5-" in outcome["graph"]
    assert (outcome["embeddings"], outcome["metric"], outcome["builder"]) == (
        "plain-docs",
        "cos",
        "exact",
    )
    assert (outcome["k"], outcome["n_documents"], outcome["n_edges"]) == (5, 120, 600)
    assert (outcome["recall"], outcome["existing"]) == (None, False)
    approximate = hype(*by_model, "--builder", "hnsw", "--json").json
    assert approximate["recall"] > 0.95
    assert approximate["advice"] is None


def test_an_approximate_graph_says_its_recall(hype: Hype, study: Path) -> None:
    arguments = ["graph", "plain-docs", "--k", 20, "--builder", "hnsw", "--store", study]
    assert "Recall of the exact neighbours, on a sample: " in hype(*arguments).out
    poor = hype(*arguments, "-o", "m=2", "-o", "ef-construction=2", "-o", "ef_search=1")
    assert (poor.code, "Warning: that is low; to find more, raise ef_search" in poor.out) == (
        0,
        True,
    )


def test_builders_are_listed_with_their_options(hype: Hype) -> None:
    told = hype("graph", "--builders").out
    assert "exact: compares all documents" in told
    assert "-o ef_search=200  candidates in the search for neighbours" in told
    listed = hype("graph", "--builders", "--json").json["builders"]
    options = {one["name"]: [each["name"] for each in one["options"]] for one in listed}
    assert options == {
        "exact": ["dtype"],
        "nn-descent": ["candidates", "iterations", "trees"],
        "hnsw": ["m", "ef_construction", "ef_search"],
        "faiss-hnsw": ["m", "ef_construction", "ef_search"],
    }


def test_graphs_are_listed_shown_checked_and_removed(hype: Hype, study: Path, near: Any) -> None:
    in_store = ["--store", study]
    (listed,) = hype("ls", "graphs", *in_store, "--json").json
    assert (listed["kind"], listed["name"]) == ("graph", "near")
    assert "120 × 10 by l2, exact" in listed["about"]
    shown = hype("show", "near", *in_store)
    assert "builder: exact" in shown.out
    assert "hyper-docs" in shown.out
    assert hype("doctor", "--checksums", *in_store).code == 0
    refused = hype("rm", "hyper-docs", *in_store)
    assert (refused.code, "graph near" in refused.err) == (STORE, True)
    assert hype("rm", "near", *in_store).code == 0
    assert hype("ls", "graphs", *in_store, "--json").json == []


def test_damage_is_found(hype: Hype, study: Path, near: Any) -> None:
    store = hypencli.open_store(study).store
    path = store.path(store.get("near")) / "neighbours.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    outcome = hype("doctor", "--checksums", "--store", study)
    assert (outcome.code, "neighbours.npy" in outcome.out) == (STORE, True)


def test_a_graph_goes_out_and_comes_back(
    hype: Hype, study: Path, tmp_path: Path, near: Any
) -> None:
    path, in_store = tmp_path / "out.jsonl", ["--store", study]
    written = hype("export", "graph", "near", "--output", path, *in_store)
    assert "Wrote 1,200 neighbours of 120 documents, up to 10 each" in written.out
    taken = hype("import", "graph", path, "--embeddings", "hyper-docs", "--metric", "l2", *in_store)
    assert "Took in: out, 1,200 neighbours of 120 documents of hyper-docs" in taken.out
    assert "on a sample: 1.0000" in taken.out
    named = ["--embeddings", "hyper-docs", "--metric", "l2", "--name", "out"]
    again = hype("import", "graph", path, *named, *in_store, "--json").json
    assert (again["existing"], again["self_edges"], again["repeated"]) == (True, 0, 0)
    store = hypencli.open_store(study).store
    np.testing.assert_array_equal(store.graph("out").neighbours, store.graph("near").neighbours)
    few = ["--k", 3, "--format", "npy", "--output", tmp_path / "few.npy"]
    assert hype("export", "graph", "near", *few, *in_store, "--json").json["n_edges"] == 360
    assert np.load(tmp_path / "few.npy").shape == (120, 3)


def test_what_an_import_left_out_is_told(hype: Hype, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    rows = [f'{{"item_id": "d{i}", "neighbors": ["d{i}", "d{(i + 7) % 120}"]}}' for i in range(120)]
    rows[3] = '{"item_id": "d3", "neighbors": ["d9", "d4", "d9"]}'
    path.write_text("\n".join(rows), encoding="utf-8")
    arguments = ["import", "graph", path, "--embeddings", "plain-docs", "--store", study]
    taken = hype(*arguments, "--metric", "cos")
    assert "Left out: 119 edges from a document to itself." in taken.out
    assert "Left out: 1 neighbours that a row holds twice." in taken.out
    assert "Warning: that is low" in taken.out


GRAPH = ["graph", "hyper-docs"]
CASES = {
    "no such metric": ([*GRAPH, "--metric", "l1"], USAGE, "--metric"),
    "no such builder": ([*GRAPH, "--builder", "ivf"], USAGE, "nn-descent"),
    "k of zero": ([*GRAPH, "--k", "0"], USAGE, "--k"),
    "several sets": (["graph"], USAGE, "Several embedding sets"),
    "no such corpus": (["graph", "--corpus", "vaswani"], USAGE, "No embedding set of corpus"),
    "too many neighbours": (
        [*GRAPH, "--k", "500", "--builder", "nn-descent"],
        USAGE,
        "builder exact",
    ),
    "option of another": (
        [*GRAPH, "--builder", "hnsw", "-o", "dtype=bfloat16"],
        USAGE,
        "ef_construction",
    ),
    "option out of bounds": ([*GRAPH, "--builder", "hnsw", "-o", "m=1"], USAGE, "at least 2"),
    "option without a value": ([*GRAPH, "-o", "dtype"], USAGE, "NAME=VALUE"),
    "format untold": (["export", "graph", "near", "-o", "{folder}/x.xyz"], USAGE, "--format"),
    "k too large": (["export", "graph", "near", "--k", "11"], USAGE, "--k 11"),
    "file exists": (["export", "graph", "near", "-o", "{file}"], USAGE, "--overwrite"),
    "no such set": (["graph", "hyper-dogs"], STORE, "hyper-docs"),
    "no such graph": (["export", "graph", "nearr"], STORE, "near"),
    "name taken": ([*GRAPH, "--k", "3", "--name", "near"], STORE, "near"),
    "no such file": (["import", "graph", "{folder}/none", "--corpus", "x"], USAGE, "corpus x"),
    "no file": (["import", "graph", "{folder}/none", "--embeddings", "hyper-docs"], DATA, "none"),
    "broken line": (["import", "graph", "{file}", "--embeddings", "hyper-docs"], DATA, "line 2"),
    "nowhere": (["export", "graph", "near", "-o", "{folder}/no/x.npy"], DATA, "folder"),
    "no such device": ([*GRAPH, "--device", "tpu9"], MODEL, "cpu"),
    "no such dtype": ([*GRAPH, "-o", "dtype=float23"], MODEL, "float32"),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_say_what_and_what_next(
    case: str, hype: Hype, study: Path, tmp_path: Path, near: Any
) -> None:
    assert near.code == 0
    file = tmp_path / "broken.jsonl"
    file.write_text('{"item_id": "d0", "neighbors": ["d1"]}\n{"item_id":\n', encoding="utf-8")
    arguments, code, words = CASES[case]
    filled = [argument.format(folder=tmp_path, file=file) for argument in arguments]
    outcome = hype(*filled, "--store", study)
    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert len(hype("ls", "graphs", "--store", study, "--json").json) == 1
    as_json = hype(*filled, "--store", study, "--json")
    if words not in ("--metric", "--k"):  # refused before the verb is reached
        assert as_json.json["error"]["exit_code"] == code
