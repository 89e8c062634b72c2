"""The overview of runs: what a filter keeps, and that new runs are seen."""

from __future__ import annotations

import hypestore as hs
from hypencli.ops.report.overview import Overviews, RunFilter
from hypencli.reporting.contents import Limits
from tests.ops.report.conftest import Put


def shown(overviews: Overviews, **fields: str) -> tuple[set[str], set[str]]:
    """The labels of the runs in leaderboards, and in costs."""
    report = overviews.filtered(RunFilter(**fields))
    return (
        {entry.label for board in report.leaderboards for entry in board.entries},
        {search.label for costs in report.costs for search in costs.searches},
    )


def test_a_filter_keeps_runs_by_engine_model_and_words(store: hs.Store, put: Put) -> None:
    put("fast", [1] * 6, engine="guided")
    put("slow", [2] * 6)
    overviews = Overviews(store, Limits())
    assert shown(overviews) == ({"fast", "slow"}, {"fast", "slow"})
    assert shown(overviews, engine="guided") == ({"fast"}, {"fast"})
    assert shown(overviews, text="SLOW") == ({"slow"}, {"slow"})
    assert shown(overviews, model="nets", text="exact") == ({"slow"}, {"slow"})
    assert shown(overviews, model="other") == (set(), set())
    board = overviews.choices().qrels[0]
    assert shown(overviews, qrels=board)[0] == {"fast", "slow"}
    assert overviews.choices().engines == ("exact", "guided")
    lineage = overviews.filtered(RunFilter(engine="guided")).lineage
    assert {one.label for one in lineage.artifacts if one.kind == "run"} == {"fast"}


def test_a_new_run_is_seen(store: hs.Store, put: Put) -> None:
    put("first", [1] * 6)
    overviews = Overviews(store, Limits())
    assert shown(overviews)[0] == {"first"}
    put("second", [2] * 6)
    assert shown(overviews)[0] == {"first", "second"}
