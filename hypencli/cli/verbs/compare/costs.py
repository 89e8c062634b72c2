"""``hype costs``: what searches find against what they take."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from hypencli.cli.options import FormatOption, JsonOption, StoreOption, open_store
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import show
from hypencli.cli.verbs.compare.cost_tables import draw_costs


def costs(
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="Depth of recall.", show_default="100 where known"),
    ] = None,
    format: FormatOption = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the recall of searches with what they cost.

    Costs are milliseconds and q-net evaluations per query. There are a table and plots for each
    corpus and query set. On a front are the runs that no other run of the same search beats.

    Examples:
        hype costs

        hype costs --k 1000 --format csv
    """
    from hypencli.ops.evaluation.costs import compare_costs

    comparisons = compare_costs(open_store(store), depth=k, progress=progress())
    show(comparisons, partial(draw_costs, format=format), as_json=json or format == "json")


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(costs)
