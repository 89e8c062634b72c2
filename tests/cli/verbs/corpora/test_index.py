"""``hype index``: text, JSON, what approximate search takes, and every way out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("faiss", reason="indexes need faiss: pip install faiss-cpu")

Hype = Callable[..., Any]
USAGE, STORE = 2, 4


def test_an_index_is_made_once_shown_and_removed(hype: Hype, study: Path) -> None:
    made = hype("index", "hyper-docs", "--kind", "flat16", "--store", study)
    assert made.code == 0, made.err
    assert "Made: index-faiss-flat16-" in made.out
    assert "Recall of inner products, on a sample: @100 1.0000, @120 1.0000." in made.out
    again = hype("index", "hyper-docs", "--kind", "flat16", "--store", study, "--json").json
    assert (again["build_seconds"], again["kind"]) == (None, "flat16")
    shown = hype("show", "hyper-docs", "--store", study)
    assert again["cache"] in shown.out.replace("\n", "")
    listed = hype("show", "hyper-docs", "--store", study, "--json").json["indexes"]
    assert [one["cache"] for one in listed] == [again["cache"]]
    assert hype("show", "plain-docs", "--store", study, "--json").json["indexes"] == []
    gc.collect()  # the commands ran in this process, whose stores hold the index
    assert hype("doctor", "--clean", "--store", study).code == 0
    assert hype("show", "hyper-docs", "--store", study, "--json").json["indexes"] == []


def test_approximate_search_takes_an_index_and_builds_none(
    hype: Hype, study: Path, tiny_collection: Path
) -> None:
    def search(*arguments: str) -> Any:
        queries = tiny_collection / "queries.jsonl"
        options = ("--approx", "--k", "5", "--json", *arguments, "--store", str(study))
        return hype("search", queries, "--model", "hyper", *options)

    before = search().json
    assert not list((study / "cache").glob("index-*"))
    lacking = search("-o", "index=ivf")
    assert lacking.code == USAGE
    assert "Build one: hype index " in lacking.out
    name = hype("index", "hyper-docs", "-o", "nlist=8", "--store", study, "--json").json["cache"]
    taken = search("--recall", "0.9").json
    shown = hype("show", taken["run"], "--store", study, "--json").json["manifest"]["inputs"]
    assert shown["index"] == name
    assert search().json["run"] != before["run"]
    without = search("-o", "index=none").json
    assert (without["run"], without["existing"]) == (before["run"], True)


def test_wrong_kinds_and_options_are_refused(hype: Hype, study: Path) -> None:
    for arguments, words in (
        (("--kind", "tree"), "ivf"),
        (("-o", "nlist=0x10"), "whole number"),
        (("-o", "M=4"), "no option 'M'"),
        (("-o", "nlist=500"), "500 centroids"),
    ):
        refused = hype("index", "hyper-docs", *arguments, "--store", study)
        assert refused.code == USAGE
        assert words in refused.err
    assert not list((study / "cache").glob("index-*"))
