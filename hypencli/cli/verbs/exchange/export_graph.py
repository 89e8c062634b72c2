"""``hype export graph``: a neighbour graph to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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

    from hypencli.ops.transfer.graphs import ExportedGraph


def export_graph(
    graph: ReferenceArgument,
    k: Annotated[
        int | None,
        typer.Option(
            "--k", "-k", min=1, help="Neighbours of each document to write.", show_default="all"
        ),
    ] = None,
    format: Annotated[str | None, format_option("graph")] = None,
    output: ExportedOption = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a neighbour graph as JSONL in the published format, or as a NumPy array of ordinals.

    Examples:
        hype export graph near --output near.jsonl

        hype export graph near --k 10 --format npy
    """
    from hypencli.ops.transfer.graphs import export_graph as graph_export

    done = graph_export(
        open_store(store),
        graph,
        output=output,
        k=k,
        format=format,
        overwrite=overwrite,
        progress=progress(),
    )

    def draw(console: Console, done: ExportedGraph) -> None:
        console.print(
            f"Wrote {done.n_edges:,} neighbours of {done.n_documents:,} documents, up to {done.k} "
            f"each, to {done.path} ({done.format})."
        )

    show(done, draw, as_json=json)
