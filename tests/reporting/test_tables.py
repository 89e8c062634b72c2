"""What stands in the cells: best values, what is sorted by, columns that say nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypencli.reporting.contents import Artifact, HtmlReport, Lineage
from hypencli.reporting.lineage import LineageIndex, lineage_tables
from hypencli.reporting.tables import Table, comparison_table, costs_table, leaderboard_table

SampleReport = Callable[..., HtmlReport]


def column(table: Table, label: str) -> list[str]:
    place = [one.label for one in table.columns].index(label)
    return [row.cells[place].text for row in table.rows]


def labels(table: Table) -> list[str]:
    return [one.label for one in table.columns]


def test_the_best_of_each_measure_is_marked(sample_report: SampleReport) -> None:
    table = leaderboard_table(sample_report().leaderboards[0], {"run-1": "there"})
    assert labels(table) == ["run", "nDCG@10", "RR", "seconds", "engine", "model"]
    assert column(table, "nDCG@10") == ["0.9000", "0.2500", "0.1250", "–"]
    best = [
        (row.cells[0].text, cell.text) for row in table.rows for cell in row.cells if cell.is_best
    ]
    assert best == [("run 0", "0.9000")]  # RR is the same for all: none is best
    assert [row.cells[0].target for row in table.rows] == [None, "there", None, None]
    assert [row.cells[1].value for row in table.rows] == [0.9, 0.25, 0.125, None]


def test_two_that_are_best_are_both_marked(sample_report: SampleReport) -> None:
    board = sample_report().leaderboards[0]
    first = board.entries[0]
    board = replace(board, entries=(first, replace(first, run="x"), *board.entries[1:]))
    table = leaderboard_table(board, {})
    assert [row.cells[1].is_best for row in table.rows] == [True, True, False, False, False]


def test_tests_are_a_row_a_measure(sample_report: SampleReport) -> None:
    table = comparison_table(sample_report().pairs[0])
    (row,) = table.rows
    shown = dict(zip(labels(table), [cell.text for cell in row.cells], strict=True))
    assert shown == {
        "measure": "nDCG@10",
        "A": "0.2500",
        "B": "0.5000",
        "B − A": "+0.2500",
        "wins": "2",
        "losses": "1",
        "ties": "7",
        "p t": "0.5000",
        "p wilcoxon": "0.2500",
        "p randomisation": "<0.0001",
    }


def test_columns_that_say_nothing_are_left_out(sample_report: SampleReport) -> None:
    costs = sample_report().costs[0]
    table = costs_table(costs, {})
    assert labels(table) == [
        *("no.", "run", "ms a query", "encoding ms", "evaluations", "% of corpus", "recall@10"),
        *("checked queries", "front at 10", "engine", "model"),
    ]
    assert column(table, "% of corpus") == ["1.00", "2.00", "3.00", "4.00"]
    assert column(table, "front at 10") == ["time and evaluations"] * 4
    bare = [
        replace(one, evaluations=None, evaluations_share=None, checked_queries=None, fronts=())
        for one in costs.searches
    ]
    table = costs_table(replace(costs, searches=tuple(bare)), {})
    assert labels(table)[2:5] == ["ms a query", "encoding ms", "recall@10"]
    assert column(table, "front at 10") == ["–"] * 4


def test_a_run_of_several_runs_leads_to_all_of_them(sample_report: SampleReport) -> None:
    lineage = sample_report().lineage
    run: Artifact = lineage.artifacts[0]
    fused = replace(run, id="fused", label="fused", parents=("run-0", "run-1", "model-0"))
    index = LineageIndex(Lineage((*lineage.artifacts, fused), lineage.environments))
    runs, models, environments = lineage_tables(index)
    assert [table.caption for table in (runs, models, environments)] == [
        *("Runs", "Models", "Environments")
    ]
    assert labels(runs) == ["run", "run", "model", "k", "device", "environment", "made (UTC)"]
    assert runs.rows[-1].cells[1].links == (("run 0", "artifact-0"), ("run 1", "artifact-1"))
    assert runs.rows[0].cells[1].links == ()


def test_facts_stand_in_their_order_and_only_where_one_is_known(
    sample_report: SampleReport,
) -> None:
    lineage = sample_report().lineage
    model = lineage.artifacts[-1]
    other = replace(model, id="m", facts=(("recipe", None), ("source", "hub"), ("steps", None)))
    _, models, _ = lineage_tables(
        LineageIndex(Lineage((*lineage.artifacts, other), lineage.environments))
    )
    assert labels(models) == [
        *("model", "not described here", "recipe", "steps", "seconds", "source"),
        *("device", "environment", "made (UTC)"),
    ]
    assert column(models, "steps") == ["1,500", "–"]
    assert column(models, "seconds") == ["12.2", "–"]


def test_models_of_one_recipe_share_its_text(sample_report: SampleReport) -> None:
    lineage = sample_report().lineage
    model = lineage.artifacts[-1]
    other = replace(model, id="model-1", label="another")
    index = LineageIndex(Lineage((*lineage.artifacts, other)))
    assert index.recipes == {"a = 1": ("recipe-0", ("model", "another"))}
