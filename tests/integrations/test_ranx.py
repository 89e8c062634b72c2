"""Runs and judgements of ranx: there and back, and the same figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import ranx

from hypencli.api import Project
from hypencli.integrations.ranx import from_run, to_qrels, to_run


def test_a_run_goes_there_and_comes_back(project: Project) -> None:
    results = project.results("hyper-run")
    there = to_run(results)
    back = project.results(from_run(project, there, name="back").run)
    assert there.name == "hyper-run"
    assert to_run(back).to_dict() == there.to_dict()
    keys = [("query_id", "ascending"), ("rank", "ascending")]
    assert back.table.sort_by(keys).equals(results.table.sort_by(keys))


def test_figures_are_those_of_hype_eval(project: Project, tiny_collection: Path) -> None:
    qrels = tiny_collection / "qrels.txt"
    measured = ranx.evaluate(to_qrels(qrels), to_run(project.results("plain-run")), "ndcg@10")
    evaluated = project.evaluate("plain-run", qrels, measures=["nDCG@10"])
    assert evaluated.aggregates["nDCG@10"] == pytest.approx(measured, abs=1e-6)
