"""``hype import run``: a run of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, NameOption, StoreOption, open_store
from hypencli.cli.output.render import draw_name_not_given, escape, show
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.runs import Imported


def import_run(
    file: Annotated[
        Path,
        typer.Argument(
            help="A TREC run, or JSONL in the published format (.gz too).", show_default=False
        ),
    ],
    name: NameOption = None,
    corpus: Annotated[
        str | None,
        typer.Option(help="The searched corpus, for the leaderboard.", show_default=False),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(
            help="The query set. An ir_datasets id gives `hype eval` its judgements.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add a run of another tool: BM25, another model, a published run.

    Examples:
        hype import run bm25.trec --corpus vaswani --queries vaswani

        hype import run published.jsonl --name hypencoder-paper
    """
    from hypencli.ops.transfer.runs import import_run as run_import

    done = run_import(open_store(store), file, name=name, corpus=corpus, queries=queries)

    def draw(console: Console, done: Imported) -> None:
        verb = "Already there" if done.existing else "Took in"
        label = escape(done.name or done.run)
        console.print(
            f"{verb}: {label}, {done.n_results:,} results for {done.n_queries:,} queries."
        )
        draw_name_not_given(console, done.name_not_given, done.name or done.run)
        if done.reordered_queries:
            count = done.reordered_queries
            whose = (
                "1 query contradict its" if count == 1 else f"{count:,} queries contradict their"
            )
            console.print(f"The ranks of {whose} scores: documents are ordered by score.")
        console.print(
            f"Next: hype eval {escape_shell(done.name or done.run)} --qrels FILE_OR_DATASET"
        )

    show(done, draw, as_json=json)
