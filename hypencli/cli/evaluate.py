"""``hype eval`` and ``hype report``: measures and comparisons."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.html import HtmlOption, html_options, write_page
from hypencli.cli.options import JsonOption, StoreOption, open_store, split_names
from hypencli.cli.pareto import report_costs
from hypencli.cli.render import progress, safe, show
from hypencli.cli.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluate import Evaluated
    from hypencli.ops.report import Comparison, Table
    from hypestore import Store

TableFormat = Literal["table", "json", "csv", "markdown", "latex"]


def eval_(
    run: Annotated[
        str, typer.Argument(help="Name, id, or beginning of an id.", show_default=False)
    ],
    qrels: Annotated[
        str | None,
        typer.Option(
            help="An ir_datasets id, a prepared dataset, or a file: TREC, JSON as published, "
            "BEIR TSV.",
            show_default="the queries' own",
        ),
    ] = None,
    measures: Annotated[
        str | None,
        typer.Option(
            help="ir_measures names, separated by commas or blanks.",
            show_default="nDCG@10 nDCG@5 P@10 P@5 R@10 RR R@1000 RR@10",
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a run against judgements; values are kept in all and per query.

    Examples:
        hype eval my-run --qrels qrels.txt

        hype eval my-run --qrels beir/scifact/test --measures "nDCG@10, AP(rel=2)@100"
    """
    from hypencli.ops.datasets import dataset_place
    from hypencli.ops.evaluate import EvaluateOptions, evaluate

    opened = open_store(store)
    judged = dataset_place(opened.root, qrels)
    options = EvaluateOptions(qrels=judged, measures=split_names(measures) or None)
    show(evaluate(opened, run, options, progress()), draw_evaluated, as_json=json)


def draw_evaluated(console: Console, done: Evaluated) -> None:
    """Measures of one run."""
    title = f"{done.run_name or done.run} on {done.qrels}, {done.judged_queries} judged queries"
    print_table(title, ("measure", "value"), list(done.aggregates.items()))
    if done.missing_queries:
        some = ", ".join(safe(query) for query in done.missing_queries[:5])
        console.print(
            f"{len(done.missing_queries)} judged queries have no results and count as 0: {some}"
            + (", …" if len(done.missing_queries) > 5 else "")
        )
    if done.unjudged_queries:
        console.print(f"{done.unjudged_queries} queries of the run have no judgements: left out.")


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Two runs to put side by side; none shows the leaderboard."),
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
    """Compare runs: a leaderboard, two runs with paired tests, costs of searches, or any SQL.

    Or all of it as a page for people: leaderboards, two runs query by query with their documents,
    recall against cost, training curves, and what every number was made from.

    Examples:
        hype report

        hype report bi-encoder hypencoder

        hype report --sql "SELECT name, value FROM leaderboard WHERE measure = 'nDCG@10'"

        hype report --pareto --k 100

        hype report bi-encoder hypencoder --html report.html --qrels qrels.txt

        hype report --format latex
    """
    chosen: TableFormat = "json" if json else format
    opened = open_store(store)
    wanted = split_names(measures)
    asked = [bool(runs) and html is None, sql is not None, schema, pareto, html is not None]
    if sum(asked) > 1:
        raise UsageError(
            "Two runs, --sql, --schema, --pareto and --html exclude each other; "
            "--html alone goes with two runs."
        )
    if k is not None and not pareto and html is None:
        raise UsageError(
            "--k is the depth of recall of --pareto and --html.",
            hint=f"hype report --pareto --k {k}",
        )
    if overwrite and html is None:
        raise UsageError("--overwrite is for --html.", hint="hype report --html FILE --overwrite")
    from hypencli.ops import report as ops
    from hypencli.ops.datasets import dataset_place

    if sql is not None:
        table = ops.sql(opened, sql)
        print_table(table.title, table.columns, table.rows, format=chosen)
    elif schema:
        for relation in opened.catalog.schema():
            rows = [(column.name, column.type, column.description) for column in relation.columns]
            title = f"{relation.name}: {relation.description}"
            print_table(title, ("column", "type", "meaning"), rows, format=chosen)
    elif pareto:
        report_costs(opened, depth=k, format=chosen)
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
        found = ops.compare(opened, runs[0], runs[1], measures=wanted, qrels=qrels)
        draw = partial(draw_comparison, format=chosen)
        show(found, draw, as_json=chosen == "json")
    else:
        _leaderboard(opened, wanted, chosen)


def _leaderboard(store: Store, measures: tuple[str, ...], format: TableFormat) -> None:
    from hypencli.ops.report import leaderboard

    boards = leaderboard(store, measures=measures)

    def draw(console: Console, boards: list[Table]) -> None:
        if not boards:
            console.print("No run has been evaluated yet.")
            console.print("Next: hype search, or hype eval RUN --qrels FILE_OR_DATASET")
        for board in boards:
            print_table(board.title, board.columns, board.rows, format=format)

    show(boards, draw, as_json=format == "json")


def draw_comparison(console: Console, found: Comparison, *, format: TableFormat = "table") -> None:
    """Two runs side by side, a row a measure."""
    from hypencli.ops.report import verdict

    title = f"A: {found.run_a}   B: {found.run_b}   on {found.qrels}, {found.n_queries} queries"
    names = list(found.tests[0].corrected)
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
        for test in found.tests
    ]
    print_table(title, columns, rows, format=format)
    if format == "table":
        console.print(
            "Wins: queries where B is better. p: two-sided paired tests, "
            f"Holm-corrected over the {len(rows)} measures."
        )
        console.print(verdict(found))


def _p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("eval")(eval_)
    app.command()(report)
