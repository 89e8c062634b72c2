"""``hype compare``: runs, or pools of runs, side by side with paired tests."""

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
from hypencli.cli.output.render import show
from hypencli.cli.verbs.compare.comparison_tables import draw_comparison, draw_pool
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from hypencli.ops.evaluation.compare import Comparison
    from hypestore import Store


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Two runs or more; each is compared with the first. With --pool: the runs of one "
            "system on several query sets.",
            show_default=False,
        ),
    ],
    pool: Annotated[
        bool,
        typer.Option("--pool", help="Treat runs on several query sets as one run."),
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="With --pool: a run of the second system. Repeat it for each of its runs.",
            show_default=False,
        ),
    ] = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            help="Id of the judgements to compare on; `hype report` shows it.",
            show_default="the newest that both runs were evaluated with",
        ),
    ] = None,
    measures: MeasuresOption = None,
    format: FormatOption = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Compare runs query by query, with paired tests.

    With --pool, the queries of several runs count as one set, such as TREC DL 2019 and 2020.

    Examples:
        hype compare bi-encoder hypencoder

        hype compare baseline run-1 run-2 --measures nDCG@10

        hype compare --pool dl19-bi dl20-bi --against dl19-hyper --against dl20-hyper
    """
    if against and not pool:
        raise UsageError("--against needs --pool.", hint="hype compare RUN_A RUN_B")
    if pool and qrels is not None:
        raise UsageError(
            "--qrels and --pool exclude each other: each run of a pool has its own judgements."
        )
    opened, wanted = open_store(store), split_names(measures)
    table_format = "json" if json else format
    if pool:
        show_pool(opened, tuple(runs), tuple(against or ()), measures=wanted, format=table_format)
    else:
        show_comparison(opened, runs, qrels, measures=wanted, format=table_format)


def show_comparison(
    store: Store,
    runs: Sequence[str],
    qrels: str | None,
    *,
    measures: tuple[str, ...],
    format: str,
) -> None:
    """Print a comparison of each further run with the first. For two runs, JSON is one object.

    Raises:
        UsageError: Fewer than two runs are named, or two of them cannot be compared.
    """
    from hypencli.ops.evaluation.compare import compare_with_first

    comparisons = compare_with_first(store, runs, measures=measures, qrels=qrels)
    draw = partial(_draw_all, format=format)
    if format == "json" and len(comparisons) == 1:
        show(comparisons[0], draw_comparison, as_json=True)
    else:
        show(comparisons, draw, as_json=format == "json")


def _draw_all(console: Console, comparisons: Sequence[Comparison], *, format: str) -> None:
    for comparison in comparisons:
        draw_comparison(console, comparison, format=format)
    if format == "table" and len(comparisons) > 1:
        console.print("The p-values are not corrected over the pairs of runs.")


def show_pool(
    store: Store,
    runs: tuple[str, ...],
    against: tuple[str, ...],
    *,
    measures: tuple[str, ...],
    format: str,
) -> None:
    """Print a pool of runs, or the comparison of two pools.

    Raises:
        UsageError: The runs cannot be pooled: two have the same queries, or measures differ.
    """
    from hypencli.ops.evaluation.pool import compare_pools, pool

    as_json = format == "json"
    if against:
        comparison = compare_pools(store, runs, against, measures=measures)
        show(comparison, partial(draw_comparison, format=format), as_json=as_json)
    else:
        pooled = pool(store, runs, measures=measures)
        show(pooled, partial(draw_pool, format=format), as_json=as_json)
