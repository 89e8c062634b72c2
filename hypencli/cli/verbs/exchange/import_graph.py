"""``hype import graph``: a neighbour graph that another tool computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    CorpusOption,
    DeviceOption,
    EmbeddingsOption,
    JsonOption,
    NameOption,
    StoreOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.graphs import ImportedGraph


def import_graph(
    file: Annotated[
        Path, typer.Argument(help="JSONL in the published format (.gz too).", show_default=False)
    ],
    embeddings: EmbeddingsOption = None,
    corpus: CorpusOption = None,
    name: NameOption = None,
    metric: Annotated[
        Literal["l2", "ip", "cos"] | None,
        typer.Option(
            help="The metric of the graph. With it, the graph's recall is measured.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add a neighbour graph of another tool, for an embedding set of the same documents.

    Each line is {"item_id": "d1", "neighbors": ["d7", "d3"]}, with the nearest first.

    Examples:
        hype import graph published.jsonl --embeddings docs --metric l2

        hype import graph neighbours.jsonl.gz --name theirs
    """
    from hypencli.ops.select import choose_any_embeddings
    from hypencli.ops.transfer.graphs import import_graph as graph_import

    opened = open_store(store)
    embedding_set = choose_any_embeddings(
        opened, named=embeddings, corpus=corpus, progress=progress()
    )
    done = graph_import(
        opened,
        file,
        embedding_set,
        name=name,
        metric=metric,
        device=default_device(device, opened),
        progress=progress(),
    )
    show(done, _draw_imported, as_json=json)


def _draw_imported(console: Console, done: ImportedGraph) -> None:
    verb = "Already there" if done.existing else "Took in"
    console.print(
        f"{verb}: {escape(done.name or done.graph)}, {done.n_edges:,} neighbours of "
        f"{done.n_documents:,} documents of {escape(done.embeddings)}, up to {done.k} each."
    )
    draw_name_not_given(console, done.name_not_given, done.name or done.graph)
    if done.self_edges:
        console.print(f"Left out: {done.self_edges:,} edges from a document to itself.")
    if done.repeated:
        console.print(f"Left out: {done.repeated:,} neighbours that a row holds twice.")
    if done.recall is not None:
        console.print(f"Recall of the exact neighbours, on a sample: {done.recall:.4f}.")
    if done.low:
        console.print("Warning: that is low. Are the embedding set and the metric the right ones?")
