"""``hype report``: leaderboard, comparisons and SQL."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    StoreOption,
    open_store,
    split_names,
)
from hypencli.cli.output.render import show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.comparison_tables import (
    TableFormat,
    draw_comparison,
    show_pool,
    show_robustness_loss,
)
from hypencli.cli.verbs.compare.costs import report_costs
from hypencli.cli.verbs.compare.html import (
    HtmlOption,
    html_options,
    write_page,
)
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.compare import LeaderboardTable
    from hypestore import Store


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Two runs to put side by side; none shows the leaderboard."),
    ] = None,
    pool: Annotated[
        bool,
        typer.Option(
            "--pool", help="Take the runs, of one system on several query sets, as one run."
        ),
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Of --pool: a run of the system to compare with; once for each of its runs.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="BASE_RUN",
            help="What runs of perturbed queries lose against this one; named, or all there are.",
            show_default=False,
        ),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(help="A read-only SQL query over the catalog.", show_default=False),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Show the catalog's tables and views.")
    ] = False,
    pareto: Annotated[
        bool,
        typer.Option("--pareto", help="What searches find against what they take, with plots."),
    ] = False,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            min=1,
            help="Depth of recall for --pareto and --html.",
            show_default="100 where known",
        ),
    ] = None,
    html: HtmlOption = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            help="Judgements to compare on: an id that evaluations have; with --html also a file "
            "or dataset, whose grades the page then shows.",
            show_default=False,
        ),
    ] = None,
    measures: Annotated[
        str | None, typer.Option(help="Measures to show; the first one sorts.", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of --html if it is there.")
    ] = False,
    format: Annotated[TableFormat, typer.Option(help="How to print tables.")] = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Compare runs: a leaderboard, paired tests, pools, costs of searches, or any SQL.

    Or all of it as a page for people: leaderboards, two runs query by query with their documents,
    recall against cost, training curves, and what every number was made from.

    Examples:
        hype report

        hype report bi-encoder hypencoder

        hype report --pool dl19-bi dl20-bi --against dl19-hyper --against dl20-hyper

        hype report --drop my-run

        hype report --sql "SELECT name, value FROM leaderboard WHERE measure = 'nDCG@10'"

        hype report --pareto --k 100

        hype report bi-encoder hypencoder --html report.html --qrels qrels.txt

        hype report --format latex
    """
    table_format: TableFormat = "json" if json else format
    opened = open_store(store)
    wanted = split_names(measures)
    asked = [sql is not None, schema, pareto, pool, drop is not None, html is not None]
    alone = sql is not None or schema or pareto
    if sum(asked) > 1 or (runs and alone):
        raise UsageError(
            "Two runs, --pool, --drop, --sql, --schema, --pareto and --html exclude each other; "
            "--html takes two runs."
        )
    if against and not pool:
        raise UsageError("--against goes with --pool.", hint="hype report RUN_A RUN_B")
    if k is not None and not pareto and html is None:
        raise UsageError(
            "--k is the depth of recall of --pareto and --html.",
            hint=f"hype report --pareto --k {k}",
        )
    if qrels is not None and (pool or drop is not None):
        raise UsageError(
            "--qrels is for two runs side by side: in a pool each run counts on its own "
            "judgements, and with --drop all count on those of BASE_RUN."
        )
    if overwrite and html is None:
        raise UsageError("--overwrite is for --html.", hint="hype report --html FILE --overwrite")
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.evaluation import compare as ops

    if sql is not None:
        table = ops.sql(opened, sql)
        print_table(table.title, table.columns, table.rows, format=table_format)
    elif schema:
        for relation in opened.catalog.schema():
            rows = [(column.name, column.type, column.description) for column in relation.columns]
            title = f"{relation.name}: {relation.description}"
            print_table(title, ("column", "type", "meaning"), rows, format=table_format)
    elif drop is not None:
        show_robustness_loss(opened, drop, tuple(runs or ()), measures=wanted, format=table_format)
    elif pool:
        pools = (tuple(runs or ()), tuple(against or ()))
        show_pool(opened, *pools, measures=wanted, format=table_format)
    elif pareto:
        report_costs(opened, depth=k, format=table_format)
    elif html is not None:
        place = dataset_place(opened.root, qrels)
        asked_runs = tuple(runs or ())
        page = html_options(html, asked_runs, place, measures=wanted, depth=k, overwrite=overwrite)
        write_page(opened, page, format=format, as_json=json)
    elif runs:
        if len(runs) != 2:
            raise UsageError(
                f"{len(runs)} runs are named; a comparison takes two.",
                hint="hype report RUN_A RUN_B",
            )
        comparison = ops.compare(opened, runs[0], runs[1], measures=wanted, qrels=qrels)
        draw = partial(draw_comparison, format=table_format)
        show(comparison, draw, as_json=table_format == "json")
    else:
        _leaderboard(opened, wanted, table_format)


def _leaderboard(store: Store, measures: tuple[str, ...], format: TableFormat) -> None:
    from hypencli.ops.evaluation.compare import leaderboard

    boards = leaderboard(store, measures=measures)

    def draw(console: Console, boards: list[LeaderboardTable]) -> None:
        if not boards:
            console.print("No run has been evaluated yet.")
            console.print("Next: hype search, or hype eval RUN --qrels FILE_OR_DATASET")
        for board in boards:
            print_table(board.title, board.columns, board.rows, format=format)

    show(boards, draw, as_json=format == "json")
