"""``hype graph``: the nearest neighbours of every document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    NameOption,
    StoreOption,
    chosen_device,
    open_store,
)
from hypencli.cli.render import progress, safe, seconds, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.graph import BuiltGraph


def graph(
    embeddings: Annotated[
        str | None,
        typer.Argument(
            help="The embedding set, by name or id.", show_default="the only one that fits"
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Neighbours a document gets.")] = 100,
    metric: Annotated[
        Literal["l2", "ip", "cos"],
        typer.Option(help="What is near: Euclidean distance, inner product, cosine."),
    ] = "l2",
    builder: Annotated[
        Literal["auto", "exact", "nn-descent", "hnsw"],
        typer.Option(help="How: auto is exact up to 100,000 documents, then nn-descent, or hnsw."),
    ] = "auto",
    name: NameOption = None,
    model: ModelOption = None,
    corpus: Annotated[
        str | None, typer.Option(help="The corpus, where several are encoded.", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of approximate builders, and of the sample for their recall.")
    ] = 0,
    candidates: Annotated[
        int, typer.Option(min=1, help="nn-descent: documents compared with each in an iteration.")
    ] = 60,
    iterations: Annotated[int, typer.Option(min=1, help="nn-descent: the most iterations.")] = 20,
    trees: Annotated[
        int, typer.Option(min=1, help="nn-descent: random projection trees to start from.")
    ] = 8,
    m: Annotated[int, typer.Option("--m", min=2, help="hnsw: links of a document.")] = 32,
    ef_construction: Annotated[
        int, typer.Option(min=1, help="hnsw: candidates for the links of a document.")
    ] = 200,
    ef_search: Annotated[
        int, typer.Option(min=1, help="hnsw: candidates in the search for neighbours.")
    ] = 200,
    dtype: Annotated[
        str, typer.Option(help="Arithmetic of the exact builder: float32, bfloat16, float16.")
    ] = "float32",
    device: DeviceOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Find the nearest neighbours of every document of an embedding set, for search over a graph.

    The same command again does nothing; an exact build that was stopped goes on where it was.

    Examples:
        hype graph

        hype graph docs --k 50 --metric ip

        hype graph --corpus msmarco-passage --builder nn-descent
    """
    from hypencli.ops.choose import choose_any_embeddings
    from hypencli.ops.graph import GraphOptions, build_graph
    from hypencli.ops.models import ModelSource

    opened = open_store(store)
    options = GraphOptions(
        k=k,
        metric=metric,
        builder=builder,
        dtype=dtype,
        device=chosen_device(device, opened),
        seed=seed,
        candidates=candidates,
        iterations=iterations,
        trees=trees,
        m=m,
        ef_construction=ef_construction,
        ef_search=ef_search,
        name=name,
    )
    source = None if model is None else ModelSource(model)
    chosen = choose_any_embeddings(
        opened, named=embeddings, model=source, corpus=corpus, progress=progress()
    )
    show(build_graph(opened, chosen, options, progress()), _draw_built, as_json=json)


def _draw_built(console: Console, done: BuiltGraph) -> None:
    verb = "Already there" if done.existing else "Made"
    called = f"{safe(done.name)} ({done.graph})" if done.name else done.graph
    console.print(
        f"{verb}: {called}, {done.k} neighbours by {done.metric} for each of "
        f"{done.n_documents:,} documents of {safe(done.corpus)}."
    )
    if not done.existing:
        console.print(f"Builder: {done.builder}, in {seconds(done.seconds)}.")
    if done.recall is not None:
        console.print(f"Recall of the exact neighbours, on a sample: {done.recall:.4f}.")
    if done.advice is not None:
        console.print(f"Warning: that is low; to find more, {done.advice}.")


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(graph)
