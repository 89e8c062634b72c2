"""``hype eval --p-mrr``: p-MRR of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import first_few, show
from hypencli.cli.output.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.evaluation.p_mrr import EvaluatedPMrr
    from hypestore import Store

P_MRR_USAGE = "hype eval --p-mrr OG_RUN CHANGED_RUN --qrels-og QRELS --qrels-changed QRELS"


def show_p_mrr(
    store: Store, runs: tuple[str, ...], qrels: tuple[str | None, str | None], *, as_json: bool
) -> None:
    """Compute the p-MRR of two runs and print it, per query and over all.

    Args:
        store: The project store.
        runs: The run of the original instructions and that of the changed ones.
        qrels: Judgements of each run, in the same order.
        as_json: Print JSON.

    Raises:
        UsageError: Not two runs are named, or judgements are missing.
    """
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.evaluation.p_mrr import evaluate_p_mrr

    before, after = qrels
    if len(runs) != 2 or before is None or after is None:
        raise UsageError("--p-mrr needs two runs and the judgements of each.", hint=P_MRR_USAGE)
    original, changed = runs
    evaluated = evaluate_p_mrr(
        store,
        original,
        changed,
        qrels_original=dataset_place(store.root, before),
        qrels_changed=dataset_place(store.root, after),
        progress=progress(),
    )
    show(evaluated, _draw_p_mrr, as_json=as_json)


def _draw_p_mrr(console: Console, evaluated: EvaluatedPMrr) -> None:
    title = (
        f"p-MRR of {evaluated.changed} after {evaluated.original}, "
        f"{len(evaluated.per_query)} queries"
    )
    rows = [*sorted(evaluated.per_query.items(), key=lambda row: (row[1], row[0]))]
    print_table(title, ("query", "p-MRR"), [*rows, ("all", evaluated.p_mrr)])
    console.print(
        f"{evaluated.changed_documents:,} documents have another grade after the change. "
        "1: they fell far; 0: they did not move; -1: they rose far."
    )
    if evaluated.missing_queries:
        console.print(
            f"{len(evaluated.missing_queries)} queries are not in both runs and left out, as in "
            f"the benchmark: {first_few(evaluated.missing_queries)}"
        )
