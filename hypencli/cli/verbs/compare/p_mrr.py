"""p-MRR of two runs as it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
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
    """Measure two runs and print p-MRR, per query and in all.

    Args:
        store: The project store.
        runs: With the original instructions, and with the changed ones.
        qrels: Judgements of each.
        as_json: Print JSON.

    Raises:
        UsageError: It takes two runs and the judgements of each.
    """
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.evaluation.p_mrr import evaluate_p_mrr

    before, after = qrels
    if len(runs) != 2 or before is None or after is None:
        raise UsageError("p-MRR takes two runs and the judgements of each.", hint=P_MRR_USAGE)
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
        "1: they fell, far; 0: they did not move; -1: they rose."
    )
    if evaluated.missing_queries:
        some = ", ".join(escape(query) for query in evaluated.missing_queries[:5])
        more = ", …" if len(evaluated.missing_queries) > 5 else ""
        console.print(
            f"{len(evaluated.missing_queries)} queries are not in both runs: left out, as the "
            f"benchmark does: {some}{more}"
        )
