"""``hype costs``: the recall of searches against their cost."""

from __future__ import annotations

from functools import partial

from hypencli.cli.options import (
    FormatOption,
    JsonOption,
    RecallDepthOption,
    StoreOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import show
from hypencli.cli.verbs.compare.cost_tables import draw_costs


def costs(
    k: RecallDepthOption = None,
    format: FormatOption = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the recall of searches with their cost.

    Costs are milliseconds and q-net evaluations per query. Each corpus and query set has a table
    and plots. The column `front` marks runs that no other run beats in both recall and cost.

    Examples:
        hype costs

        hype costs --k 1000 --format csv
    """
    from hypencli.ops.evaluation.costs import compare_costs

    comparisons = compare_costs(open_store(store), depth=k, progress=progress())
    show(comparisons, partial(draw_costs, format=format), as_json=json or format == "json")
