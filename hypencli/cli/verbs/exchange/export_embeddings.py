"""``hype export embeddings``: an embedding set to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
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

    from hypencli.ops.transfer.embeddings import ExportedEmbeddings


def export_embeddings(
    embeddings: ReferenceArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: FILE.npy, with its ids in FILE.ids.txt, or FILE.docs, the "
            "published format, with texts.",
            show_default=False,
        ),
    ],
    format: Annotated[str | None, format_option("embeddings")] = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write an embedding set as a NumPy array with its ids, or in the published format.

    Examples:
        hype export embeddings docs --output docs.npy

        hype export embeddings docs --output docs.docs
    """
    from hypencli.ops.transfer.embeddings import export_embeddings as run

    done = run(
        open_store(store),
        embeddings,
        output,
        format=format,
        overwrite=overwrite,
        progress=progress(),
    )
    show(done, _draw_exported, as_json=json)


def _draw_exported(console: Console, done: ExportedEmbeddings) -> None:
    console.print(
        f"Wrote {done.n_documents:,} × {done.dim} {done.dtype} to {done.path}"
        + (f", their ids to {done.ids}." if done.ids else ", with ids and texts.")
    )
