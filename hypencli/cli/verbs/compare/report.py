"""``hype report``: the leaderboard, SQL over the catalog, an HTML page."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    FormatOption,
    JsonOption,
    KeepPathsOption,
    MeasuresOption,
    OverwriteOption,
    RecallDepthOption,
    StoreOption,
    open_store,
    split_names,
)
from hypencli.cli.output.render import show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.compare import show_comparison
from hypencli.cli.verbs.compare.html import HtmlOption, html_options, write_page
from hypencli.cli.verbs.compare.watch import watch as watch_store
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.leaderboard import LeaderboardTable
    from hypestore import Store


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Runs to compare, as `hype compare` does. With --html: two runs.",
            show_default="the leaderboard",
        ),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(help="Run a read-only SQL query over the catalog.", show_default=False),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Show the catalog's tables and views.")
    ] = False,
    html: HtmlOption = None,
    k: RecallDepthOption = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            help="Judgements to compare on, by their id in the leaderboard. With --html also a "
            "file or dataset; the page then shows the grades.",
            show_default=False,
        ),
    ] = None,
    measures: MeasuresOption = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Open the runs, or two of them, in a browser, and follow training and search.",
        ),
    ] = False,
    overwrite: OverwriteOption = False,
    keep_paths: KeepPathsOption = False,
    format: FormatOption = "table",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show the leaderboard, run SQL, or write an HTML page.

    The page (--html) shows leaderboards, two runs query by query with their documents, recall
    against cost, training curves, and the origin of every number. --k and --overwrite need --html.

    Examples:
        hype report

        hype report --format latex

        hype report --sql "SELECT name, value FROM leaderboard WHERE measure = 'nDCG@10'"

        hype report --watch

        hype report bi-encoder hypencoder --html report.html --qrels qrels.txt
    """
    _check_together(runs or [], sql=sql, schema=schema, html=html is not None, watch=watch)
    if html is None and (k is not None or overwrite or keep_paths):
        flag = "--overwrite" if overwrite else "--keep-paths" if keep_paths else None
        option = flag or f"--k {k}"
        raise UsageError(
            f"{option} needs --html.",
            hint=f"hype report --html FILE {option}"
            + ("" if flag else f", or hype costs {option}"),
        )
    table_format = "json" if json else format
    opened, wanted = open_store(store), split_names(measures)
    if html is not None:
        from hypencli.ops.dataset_names import dataset_place

        place = dataset_place(opened.root, qrels)
        asked = tuple(runs or ())
        page = html_options(
            html,
            asked,
            place,
            measures=wanted,
            depth=k,
            overwrite=overwrite,
            keep_paths=keep_paths,
        )
        write_page(opened, page, format=format, as_json=json)
    elif watch:
        if format != "table":
            raise UsageError("--format and --watch exclude each other.")
        watch_store(opened, runs or [], qrels, wanted, as_json=json)
    elif sql is not None:
        _show_sql(opened, sql, table_format)
    elif schema:
        _show_schema(opened, table_format)
    elif runs:
        show_comparison(opened, runs, qrels, measures=wanted, format=table_format)
    else:
        _show_leaderboard(opened, wanted, table_format)


def _check_together(
    runs: list[str], *, sql: str | None, schema: bool, html: bool, watch: bool
) -> None:
    """Refuse options that exclude each other.

    Raises:
        UsageError: Two of ``--sql``, ``--schema``, ``--html``, ``--watch`` are combined, or one of
            the first two with runs.
    """
    if (sql is not None) + schema + html + watch > 1:
        raise UsageError("--sql, --schema, --html and --watch exclude each other.")
    if runs and (sql is not None or schema):
        raise UsageError("--sql and --schema exclude runs.")


def _show_sql(store: Store, statement: str, format: str) -> None:
    from hypencli.ops.evaluation.leaderboard import sql

    table = sql(store, statement)
    print_table(table.title, table.columns, table.rows, format=format)


def _show_schema(store: Store, format: str) -> None:
    for relation in store.catalog.schema():
        rows = [(column.name, column.type, column.description) for column in relation.columns]
        title = f"{relation.name}: {relation.description}"
        print_table(title, ("column", "type", "meaning"), rows, format=format)


def _show_leaderboard(store: Store, measures: tuple[str, ...], format: str) -> None:
    from hypencli.ops.evaluation.leaderboard import leaderboard

    boards = leaderboard(store, measures=measures)
    show(boards, partial(_draw_leaderboard, format=format), as_json=format == "json")


def _draw_leaderboard(console: Console, boards: list[LeaderboardTable], *, format: str) -> None:
    if not boards:
        console.print("No run has been evaluated yet.")
        console.print("Next: hype search QUERIES --qrels QRELS, or hype eval RUN --qrels QRELS")
    for board in boards:
        print_table(board.title, board.columns, board.rows, format=format)
