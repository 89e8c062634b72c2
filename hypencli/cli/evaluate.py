"""``hype eval`` and ``hype report``: measures and comparisons."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.comparisons import TableFormat, draw_comparison, show_drop, show_pool
from hypencli.cli.html import HtmlOption, html_options, write_page
from hypencli.cli.options import JsonOption, StoreOption, open_store, split_names
from hypencli.cli.p_mrr import P_MRR_USAGE, show_p_mrr
from hypencli.cli.pareto import report_costs
from hypencli.cli.render import progress, safe, show
from hypencli.cli.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluate import Evaluated
    from hypencli.ops.folds import EvaluatedInFolds
    from hypencli.ops.report import Table
    from hypestore import Store


def eval_(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Name, id, or beginning of an id; with --p-mrr, OG_RUN and CHANGED_RUN.",
            show_default=False,
        ),
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
            help="ir_measures names, separated by commas or blanks; a document counts as relevant "
            "from grade 2 on in RR(rel=2), P(rel=2)@10, ….",
            show_default="nDCG@10 nDCG@5 P@10 P@5 R@10 RR R@1000 RR@10, on the passages of TREC "
            "Deep Learning and DL-HARD with rel=2",
        ),
    ] = None,
    folds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Means by folds of the queries too: JSON with lists of query ids, or lines of a "
            "query and its fold.",
            show_default=False,
        ),
    ] = None,
    p_mrr: Annotated[
        bool,
        typer.Option("--p-mrr", help="Whether the second run follows its changed instructions."),
    ] = False,
    qrels_og: Annotated[
        str | None,
        typer.Option(help="Of --p-mrr: judgements of OG_RUN's queries.", show_default=False),
    ] = None,
    qrels_changed: Annotated[
        str | None,
        typer.Option(help="Of --p-mrr: judgements of CHANGED_RUN's queries.", show_default=False),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a run against judgements; values are kept in all and per query.

    With --p-mrr, measure as FollowIR does whether documents fall that an instruction ruled out.

    Examples:
        hype eval my-run --qrels qrels.txt

        hype eval my-run --qrels beir/scifact/test --measures "nDCG@10, AP(rel=2)@100"

        hype eval my-run --qrels qrels.txt --folds folds.json

        hype eval --p-mrr og changed --qrels-og og.qrels --qrels-changed changed.qrels
    """
    if p_mrr:
        if qrels or measures or folds:
            raise UsageError(
                "--qrels, --measures and --folds do not go with --p-mrr.", hint=P_MRR_USAGE
            )
        pair = (qrels_og, qrels_changed)
        show_p_mrr(open_store(store), tuple(runs), pair, as_json=json)
        return
    if len(runs) != 1 or qrels_og or qrels_changed:
        raise UsageError(
            f"{len(runs)} runs are named; one is measured at a time."
            if len(runs) != 1
            else "--qrels-og and --qrels-changed are for pairs of runs.",
            hint=f"hype eval RUN --qrels QRELS, or {P_MRR_USAGE}",
        )
    from hypencli.ops.datasets import dataset_place
    from hypencli.ops.evaluate import EvaluateOptions, evaluate

    opened = open_store(store)
    judged = dataset_place(opened.root, qrels)
    options = EvaluateOptions(qrels=judged, measures=split_names(measures) or None)
    done = evaluate(opened, runs[0], options, progress())
    if folds is None:
        show(done, draw_evaluated, as_json=json)
        return
    from hypencli.ops.folds import fold

    place = Path(dataset_place(opened.root, str(folds)))
    show(fold(opened, done, place), _draw_folds, as_json=json)


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


def _draw_folds(console: Console, done: EvaluatedInFolds) -> None:
    draw_evaluated(console, done.evaluated)
    found = done.by_folds
    rows = [(name, found.queries[name], *of_fold.values()) for name, of_fold in found.folds.items()]
    rows.append(("mean of folds", sum(found.queries.values()), *found.means.values()))
    print_table("By folds", ("fold", "queries", *found.means), rows)
    if found.outside:
        console.print(f"{found.outside} judged queries are in no fold: left out of these means.")
    if found.unjudged:
        console.print(f"{found.unjudged} queries of the folds have no judgements: left out.")


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
    chosen: TableFormat = "json" if json else format
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
    elif drop is not None:
        show_drop(opened, drop, tuple(runs or ()), measures=wanted, format=chosen)
    elif pool:
        pools = (tuple(runs or ()), tuple(against or ()))
        show_pool(opened, *pools, measures=wanted, format=chosen)
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
            console.print("Next: hype search QUERIES --qrels QRELS, or hype eval RUN --qrels QRELS")
        for board in boards:
            print_table(board.title, board.columns, board.rows, format=format)

    show(boards, draw, as_json=format == "json")


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("eval")(eval_)
    app.command()(report)
