"""Tables of compared runs and of pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.cli.output.tables import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.compare import Comparison
    from hypencli.ops.evaluation.pool import PooledRuns


def draw_comparison(console: Console, comparison: Comparison, *, format: str = "table") -> None:
    """Print two runs side by side, one row for each measure."""
    from hypencli.ops.evaluation.compare import verdict

    title = (
        f"A: {comparison.run_a}   B: {comparison.run_b}   "
        f"on {comparison.qrels}, {comparison.n_queries} queries"
    )
    names = list(comparison.tests[0].corrected)
    columns = ("measure", "A", "B", "B - A", "wins", "losses", "ties", *(f"p {n}" for n in names))
    rows = [
        (
            test.measure,
            test.mean_a,
            test.mean_b,
            test.difference,
            test.wins,
            test.losses,
            test.ties,
            *(p_value(test.corrected[name]) for name in names),
        )
        for test in comparison.tests
    ]
    print_table(title, columns, rows, format=format)
    if format == "table":
        console.print(
            "Wins: queries where B is better. p: two-sided paired tests, "
            f"Holm-corrected over the {len(rows)} measures."
        )
        console.print(verdict(comparison))


def p_value(p: float) -> str:
    """A p-value with four places; small ones as ``<0.0001``."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def draw_pool(console: Console, pooled: PooledRuns, *, format: str) -> None:
    """Print one row for each run of a pool, and a last row for all queries together."""
    lines = [
        (one.run, one.qrels, one.n_queries, *(one.aggregates[name] for name in pooled.measures))
        for one in pooled.runs
    ]
    total = ("together", "", pooled.n_queries, *pooled.aggregates.values())
    columns = ("run", "judgements", "queries", *pooled.measures)
    print_table("", columns, [*lines, total], format=format)
