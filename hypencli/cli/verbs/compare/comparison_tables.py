"""Comparisons as they are printed: two runs, pools of runs, what variants of queries cost."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from hypencli.cli.output.charts import bars
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.compare import Comparison
    from hypencli.ops.evaluation.drop import RobustnessLoss
    from hypencli.ops.evaluation.pool import PooledRuns
    from hypestore import Store

TableFormat: TypeAlias = Literal["table", "json", "csv", "markdown", "latex"]


def draw_comparison(
    console: Console, comparison: Comparison, *, format: TableFormat = "table"
) -> None:
    """Two runs side by side, a row a measure."""
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
            *(_p_value(test.corrected[name]) for name in names),
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


def _p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def show_pool(
    store: Store,
    runs: tuple[str, ...],
    against: tuple[str, ...],
    *,
    measures: tuple[str, ...],
    format: TableFormat,
) -> None:
    """Print a pool of runs, or the comparison of two.

    Raises:
        UsageError: There is nothing to pool, or the runs do not go together.
    """
    from hypencli.ops.evaluation.pool import compare_pools, pool

    if not runs:
        raise UsageError(
            "No runs are named to pool.", hint="hype report --pool RUN RUN [--against RUN …]"
        )
    as_json = format == "json"
    if against:
        comparison = compare_pools(store, runs, against, measures=measures)
        show(comparison, partial(draw_comparison, format=format), as_json=as_json)
    else:
        pooled = pool(store, runs, measures=measures)
        show(pooled, partial(_draw_pool, format=format), as_json=as_json)


def _draw_pool(console: Console, pooled: PooledRuns, *, format: TableFormat) -> None:
    lines = [
        (one.run, one.qrels, one.n_queries, *(one.aggregates[name] for name in pooled.measures))
        for one in pooled.runs
    ]
    total = ("together", "", pooled.n_queries, *pooled.aggregates.values())
    columns = ("run", "judgements", "queries", *pooled.measures)
    print_table("", columns, [*lines, total], format=format)


def show_robustness_loss(
    store: Store,
    base: str,
    runs: tuple[str, ...],
    *,
    measures: tuple[str, ...],
    format: TableFormat,
) -> None:
    """Print what each kind of variation of the queries costs, with bars for the first measure.

    Raises:
        UsageError: There is nothing to compare with.
    """
    from hypencli.ops.evaluation.drop import robustness_loss

    loss = robustness_loss(store, base, runs, measures=measures)
    show(loss, partial(_draw_robustness_loss, format=format), as_json=format == "json")


def _draw_robustness_loss(
    console: Console, robustness: RobustnessLoss, *, format: TableFormat
) -> None:
    rows = [
        (
            kind.kind,
            len(kind.runs),
            kind.n_queries,
            loss.measure,
            loss.base,
            loss.variant,
            "–" if loss.loss is None else f"{100 * loss.loss:.1f} %",
            _p_value(loss.p),
        )
        for kind in robustness.kinds
        for loss in kind.losses
    ]
    columns = ("variation", "runs", "queries", "measure", "base", "variant", "loss", "p")
    print_table(f"Base: {robustness.base} on {robustness.qrels}", columns, rows, format=format)
    if format != "table":
        return
    first = [(escape(kind.kind), kind.losses[0].loss) for kind in robustness.kinds]
    console.print(f"Relative loss of {robustness.measures[0]}:")
    for line in bars([(kind, loss) for kind, loss in first if loss is not None]):
        console.print(line)
    if robustness.unmeasured:
        listed = ", ".join(escape(run) for run in robustness.unmeasured)
        console.print(f"Not measured on these judgements and left out: {listed}.")
