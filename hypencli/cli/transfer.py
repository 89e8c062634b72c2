"""``hype export`` and ``hype import``: runs to and from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import JsonOption, NameOption, StoreOption, open_store
from hypencli.cli.render import safe, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer import Exported, Imported

export = typer.Typer(
    help="Write what the store holds to files that other tools read.", no_args_is_help=True
)
import_ = typer.Typer(help="Take what was made elsewhere into the store.", no_args_is_help=True)


@export.command("run")
def export_run(
    run: Annotated[
        str, typer.Argument(help="Name, id, or beginning of an id.", show_default=False)
    ],
    format: Annotated[
        Literal["trec", "jsonl", "parquet"] | None,
        typer.Option(help="The format.", show_default="told by the file's ending, else trec"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file.", show_default="NAME.FORMAT here"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a run as a TREC file, the published JSONL, or Parquet; ranks start at 1.

    Examples:
        hype export run my-run --output my-run.trec

        hype export run my-run --format jsonl
    """
    from hypencli.ops.transfer import export_run as run_export

    done = run_export(open_store(store), run, output=output, format=format, overwrite=overwrite)

    def draw(console: Console, done: Exported) -> None:
        console.print(
            f"Wrote {done.n_results:,} results for {done.n_queries:,} queries to {done.path} "
            f"({done.format})."
        )

    show(done, draw, as_json=json)


@import_.command("run")
def import_run(
    file: Annotated[
        Path,
        typer.Argument(help="A TREC run, or JSONL as published (.gz too).", show_default=False),
    ],
    name: NameOption = None,
    corpus: Annotated[
        str | None, typer.Option(help="The corpus it is of, for the leaderboard.")
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="The query set it is of; an ir_datasets id brings its judgements."),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take in a run made elsewhere: BM25, another model, a published one.

    Examples:
        hype import run bm25.trec --corpus vaswani --queries vaswani

        hype import run published.jsonl --name hypencoder-paper
    """
    from hypencli.ops.transfer import import_run as run_import

    done = run_import(open_store(store), file, name=name, corpus=corpus, queries=queries)

    def draw(console: Console, done: Imported) -> None:
        verb = "Already there" if done.existing else "Took in"
        label = safe(done.name or done.run)
        console.print(
            f"{verb}: {label}, {done.n_results:,} results for {done.n_queries:,} queries."
        )
        console.print(f"Next: hype eval {label} --qrels FILE_OR_DATASET")

    show(done, draw, as_json=json)


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.add_typer(export, name="export")
    app.add_typer(import_, name="import")
