"""``hype export run``: a run to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hypencli.cli.options import (
    ExportedOption,
    JsonOption,
    OverwriteOption,
    ReferenceArgument,
    StoreOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import show
from hypencli.cli.verbs.exchange.formats import format_option

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.runs import Exported


def export_run(
    run: ReferenceArgument,
    format: Annotated[str | None, format_option("run")] = None,
    output: ExportedOption = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a run as a TREC file, as JSONL in the published format, or as Parquet.

    Ranks start at 1. trec_eval sorts a TREC file by score, and ties by document id. So that the
    order stays, equal scores of the run are written as scores that fall by the smallest step.

    Examples:
        hype export run my-run --output my-run.trec

        hype export run my-run --format jsonl
    """
    from hypencli.ops.transfer.runs import export_run as run_export

    opened, bars = open_store(store), progress()
    done = run_export(opened, run, output=output, format=format, overwrite=overwrite, progress=bars)

    def draw(console: Console, done: Exported) -> None:
        console.print(
            f"Wrote {done.n_results:,} results for {done.n_queries:,} queries to {done.path} "
            f"({done.format})."
        )

    show(done, draw, as_json=json)
