"""``hype eval``: evaluate a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    RunMeasuresOption,
    StoreOption,
    open_store,
    split_names,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import first_few, show
from hypencli.cli.output.tables import print_table
from hypencli.cli.verbs.compare.p_mrr import P_MRR_USAGE, show_p_mrr
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.folds import EvaluatedInFolds
    from hypencli.ops.evaluation.run import Evaluated


def eval_(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="The run: name, id, or beginning of an id. With --p-mrr: OG_RUN and CHANGED_RUN.",
            show_default=False,
        ),
    ],
    qrels: Annotated[
        str | None,
        typer.Option(
            help="Judgements: a file (TREC, JSON in the published format, BEIR TSV), an "
            "ir_datasets id, or a dataset of `hype data prepare`.",
            show_default="the queries' own",
        ),
    ] = None,
    measures: RunMeasuresOption = None,
    folds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also average over folds of the queries. The file is JSON with lists of query "
            "ids, or has lines of a query id and its fold.",
            show_default=False,
        ),
    ] = None,
    p_mrr: Annotated[
        bool,
        typer.Option(
            "--p-mrr", help="Measure whether CHANGED_RUN follows its changed instructions."
        ),
    ] = False,
    qrels_og: Annotated[
        str | None,
        typer.Option(help="With --p-mrr: judgements of OG_RUN.", show_default=False),
    ] = None,
    qrels_changed: Annotated[
        str | None,
        typer.Option(help="With --p-mrr: judgements of CHANGED_RUN.", show_default=False),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Evaluate a run with judgements.

    The store keeps the values of each query and their means. With --p-mrr, two runs are compared
    as in the FollowIR benchmark: whether documents fall that a changed instruction excludes. In
    RR(rel=2) or P(rel=2)@10, documents count as relevant from grade 2 on.

    Examples:
        hype eval my-run --qrels qrels.txt

        hype eval my-run --qrels beir/scifact/test --measures "nDCG@10, AP(rel=2)@100"

        hype eval my-run --qrels qrels.txt --folds folds.json

        hype eval --p-mrr og changed --qrels-og og.qrels --qrels-changed changed.qrels
    """
    if p_mrr:
        if qrels or measures or folds:
            raise UsageError("--p-mrr excludes --qrels, --measures and --folds.", hint=P_MRR_USAGE)
        pair = (qrels_og, qrels_changed)
        show_p_mrr(open_store(store), tuple(runs), pair, as_json=json)
        return
    if len(runs) != 1 or qrels_og or qrels_changed:
        raise UsageError(
            f"{len(runs)} runs are named; `hype eval` takes one."
            if len(runs) != 1
            else "--qrels-og and --qrels-changed need --p-mrr.",
            hint=f"hype eval RUN --qrels QRELS, or {P_MRR_USAGE}",
        )
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.evaluation.run import EvaluateOptions, evaluate

    opened = open_store(store)
    judged = dataset_place(opened.root, qrels)
    options = EvaluateOptions(qrels=judged, measures=split_names(measures) or None)
    done = evaluate(opened, runs[0], options, progress())
    if folds is None:
        show(done, draw_evaluated, as_json=json)
        return
    from hypencli.ops.evaluation.folds import fold

    place = Path(dataset_place(opened.root, str(folds)))
    show(fold(opened, done, place), _draw_folds, as_json=json)


def draw_evaluated(console: Console, done: Evaluated) -> None:
    """Print the measures of a run, and the queries that are missing."""
    title = f"{done.run_name or done.run} on {done.qrels}, {done.judged_queries} judged queries"
    print_table(title, ("measure", "value"), list(done.aggregates.items()))
    if done.missing_queries:
        console.print(
            f"{len(done.missing_queries)} judged queries have no results and count as 0: "
            f"{first_few(done.missing_queries)}"
        )
    if done.unjudged_queries:
        console.print(f"{done.unjudged_queries} queries of the run have no judgements: left out.")


def _draw_folds(console: Console, done: EvaluatedInFolds) -> None:
    draw_evaluated(console, done.evaluated)
    by_fold = done.by_folds
    rows = [
        (name, by_fold.queries[name], *of_fold.values()) for name, of_fold in by_fold.folds.items()
    ]
    rows.append(("mean of folds", sum(by_fold.queries.values()), *by_fold.means.values()))
    print_table("By folds", ("fold", "queries", *by_fold.means), rows)
    if by_fold.outside:
        console.print(f"{by_fold.outside} judged queries are in no fold: left out of these means.")
    if by_fold.unjudged:
        console.print(f"{by_fold.unjudged} queries of the folds have no judgements: left out.")
