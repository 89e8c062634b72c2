"""``hype index``: an index of the vectors of an embedding set, for approximate search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import CorpusOption, JsonOption, ModelOption, StoreOption, open_store
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, seconds, show, size
from hypencli.cli.verbs.search.search_options import named_values

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.engine.vector_index.spec import DescribedIndex


def index(
    embeddings: Annotated[
        str | None,
        typer.Argument(
            help="The embedding set, by name or id.", show_default="the only one that fits"
        ),
    ] = None,
    kind: Annotated[
        Literal["ivf", "hnsw", "flat16"],
        typer.Option(
            help="ivf: inverted lists, of which a search reads some. hnsw: a small world graph; "
            "slow to build. flat16: every vector, in float16."
        ),
    ] = "ivf",
    options: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            metavar="NAME=VALUE",
            help="An option of the kind, such as nlist=4096; `hype engines faiss-ivf` (or "
            "faiss-hnsw, faiss-flat16) lists them. Repeat it for more.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    corpus: CorpusOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Index the vectors of an embedding set for approximate search.

    The search then does not read all of them.

    `hype search --approx` takes the index where there is one. A repeated command continues an
    interrupted build. The index is a cache of the store: `hype doctor --clean` removes it.

    Examples:
        hype index

        hype index docs --kind hnsw -o M=16

        hype index docs -o nlist=8192 -o bits=8
    """
    from hypencli.ops.models import ModelSource
    from hypencli.ops.search.vector_index import make_index
    from hypencli.ops.select import choose_any_embeddings

    opened = open_store(store)
    embedding_set = choose_any_embeddings(
        opened,
        named=embeddings,
        model=None if model is None else ModelSource(model),
        corpus=corpus,
        progress=progress(),
    )
    values = named_values(options, listed_by="hype engines faiss-ivf")
    show(
        make_index(opened, opened.embeddings(embedding_set.id), kind, values, progress()),
        _draw,
        as_json=json,
    )


def _draw(console: Console, done: DescribedIndex) -> None:
    verb = "Already there" if done.build_seconds is None else "Made"
    console.print(
        f"{verb}: {escape(done.cache)}, {done.kind} of {escape(done.embeddings)}, "
        f"{size(done.size_bytes)}."
    )
    if done.build_seconds is not None:
        console.print(f"Built in {seconds(done.build_seconds)}.")
    console.print(f"Recall of inner products, on a sample: {in_words(done.recall)}.")


def in_words(recall: Mapping[int, Mapping[int, float]]) -> str:
    """Return the recall of an index in one line: that of the least and of the largest effort."""
    if not recall:
        return "not measured"
    efforts = sorted({min(recall), max(recall)})
    return "; ".join(
        ", ".join(f"@{depth:,} {value:.4f}" for depth, value in recall[effort].items())
        + ("" if effort == 1 else f" with {effort} times the effort")
        for effort in efforts
    )
