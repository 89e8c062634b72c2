"""``hype engines``, and options of engines at the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypencli.engine.registry.lookup import SHIPPED

Hype = Callable[..., Any]
USAGE = 2


def test_all_engines_are_listed(hype: Hype) -> None:
    listed = hype("engines", "--json").json["engines"]
    assert [one["name"] for one in listed] == list(SHIPPED)
    graph = next(one for one in listed if one["name"] == "graph")
    assert (graph["needs"], graph["calibrated"]) == (["graph"], True)
    assert graph["presets"] == ["efficient-1", "efficient-2"]
    assert all(name in hype("engines").out for name in SHIPPED)


def test_an_engine_is_shown_with_bounds_and_defaults(hype: Hype) -> None:
    shown = " ".join(hype("engines", "graph").out.split())
    assert "Searches with q-nets and query vectors, needs a graph." in shown
    assert "efficient-1, efficient-2" in shown
    assert "entry_points a whole number, at least 1 10000" in shown
    assert "M a whole number, at least 2 and at most 1024 32" in " ".join(
        hype("engines", "hnsw").out.split()
    )
    unknown = hype("engines", "hnws")
    assert (unknown.code, "'hnsw'" in unknown.err) == (USAGE, True)


def test_one_question_by_an_engine_with_options(hype: Hype, study: Path) -> None:
    ask = ("query", "river and boat", "--model", "hyper", "--k", 3, "--store", study)
    exact = hype(*ask, "--json").json
    everything = hype(*ask, "--engine", "guided", "-o", "budget=120", "--json").json
    assert everything["hits"] == exact["hits"]
    refused = hype(*ask, "-o", "budget=120")
    assert refused.code == USAGE
    assert "budget is an option of guided, not of exact" in refused.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "hnsw"], "no calibration"),
        (["-o", "gain=0.1"], "the calibration of guided varies it"),
        (["-o", "budget=50"], "the calibration of guided varies it"),
    ],
)
def test_what_cannot_be_calibrated(
    hype: Hype, study: Path, tiny_collection: Path, arguments: list[str], words: str
) -> None:
    queries = tiny_collection / "queries.jsonl"
    refused = hype("calibrate", queries, "--model", "hyper", *arguments, "--store", study)
    assert refused.code == USAGE
    assert words in refused.err


def test_another_option_is_calibrated_apart(hype: Hype, study: Path, tiny_collection: Path) -> None:
    queries, place = tiny_collection / "queries.jsonl", ("--model", "hyper", "--store", study)
    assert hype("calibrate", queries, "--sample", 2, "-o", "seed=4", *place).code == 0
    search = ("search", queries, "--approx", "--recall", 0.1, "--k", 10, *place)

    def inputs(*options: str) -> Any:
        reached = hype(*search, *options, "--json")
        assert reached.code == 0, reached.err
        shown = hype("show", reached.json["run"], "--store", study, "--json").json
        return shown["manifest"]["inputs"]

    calibrated = inputs("-o", "seed=4")
    assert (calibrated["seed"], calibrated["recall"]) == (4, 0.1)
    assert "calibration" in calibrated
    assert "calibration" not in inputs("-o", "seed=5")  # a bound on the recall states it
    assert "calibration" not in inputs()
