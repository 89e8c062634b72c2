"""``hype robustness``: how much lower runs score on perturbed queries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    FormatOption,
    JsonOption,
    MeasuresOption,
    StoreOption,
    open_store,
    split_names,
)
from hypencli.cli.output.charts import bars
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.comparison_tables import p_value

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.robustness import RobustnessLoss


def robustness(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE_RUN", help="The run of the unchanged queries.", show_default=False
        ),
    ],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs of perturbed queries.",
            show_default="all runs that differ from BASE_RUN in perturbed queries alone",
        ),
    ] = None,
    measures: MeasuresOption = None,
    format: FormatOption = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show how much lower a run scores when its queries are perturbed.

    All runs are evaluated with the judgements of BASE_RUN. The runs of one kind of variation are
    averaged.

    Examples:
        hype robustness my-run

        hype robustness my-run my-run-misspelt --measures nDCG@10
    """
    from hypencli.ops.evaluation.robustness import robustness_loss

    wanted = split_names(measures)
    loss = robustness_loss(open_store(store), base, runs or (), measures=wanted)
    show(loss, partial(_draw, format=format), as_json=json or format == "json")


def _draw(console: Console, robustness: RobustnessLoss, *, format: str) -> None:
    rows = [
        (
            kind.kind,
            len(kind.runs),
            kind.n_queries,
            loss.measure,
            loss.base,
            loss.variant,
            "–" if loss.loss is None else f"{100 * loss.loss:.1f} %",
            p_value(loss.p),
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
        console.print(f"Left out, because not evaluated with these judgements: {listed}.")
