"""``hype import embeddings``: vectors that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    BackboneOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    NameOption,
    PoolingOption,
    StoreOption,
    TrustOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, seconds, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.embeddings import ImportedEmbeddings


def import_embeddings(
    file: Annotated[
        Path,
        typer.Argument(
            help="Encoded items as published (.docs), or an array (.npy) with --ids.",
            show_default=False,
        ),
    ],
    model: ModelOption = None,
    name: NameOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="Ids of an array's rows: one a line, or the corpus (JSONL, TSV) with its texts.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="The corpus that was encoded: a dataset, which brings its queries, or a name.",
            show_default="the file",
        ),
    ] = None,
    storage_dtype: Annotated[
        str, typer.Option(help="Vectors on disk: float16 or float32.")
    ] = "float32",
    shard_rows: Annotated[int, typer.Option(min=1, help="Documents in a shard.")] = 16_384,
    keep_text: Annotated[
        bool, typer.Option(help="Keep the documents' text, so that results can be shown.")
    ] = True,
    check: Annotated[
        int,
        typer.Option(
            min=0, help="Encode the first so many documents anew: the model's vectors must agree."
        ),
    ] = 0,
    device: DeviceOption = None,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take encoded items into the store, as vectors of the model that made them.

    The file does not say which model that was: name it, and let --check look.

    Examples:
        hype import embeddings hypencoder.6_layer.docs --model jfkback/hypencoder.6_layer

        hype import embeddings vectors.npy --ids docs.jsonl --model mine --check 8
    """
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.models import ModelSource
    from hypencli.ops.transfer.embeddings import ImportOptions
    from hypencli.ops.transfer.embeddings import import_embeddings as run

    opened = open_store(store)
    options = ImportOptions(
        ids=ids,
        corpus=dataset_place(opened.root, corpus),
        storage_dtype=storage_dtype,
        shard_rows=shard_rows,
        keep_text=keep_text,
        check=check,
        device=default_device(device, opened),
        name=name,
    )
    source = ModelSource(model, backbone=backbone, pooling=pooling, trust_code=trust_code)
    show(run(opened, file, source, options, progress()), _draw_imported, as_json=json)


def _draw_imported(console: Console, done: ImportedEmbeddings) -> None:
    label = escape(done.name or done.embeddings)
    if done.existing:
        console.print(f"Already there: {label}.")
    else:
        console.print(
            f"Took in {label}: {done.n_documents:,} × {done.dim} {done.storage_dtype} of "
            f"{escape(done.corpus)}, {'with' if done.has_text else 'without'} text, "
            f"in {seconds(done.seconds)}."
        )
    draw_name_not_given(console, done.name_not_given, done.name or done.embeddings)
    if done.checked:
        console.print(f"{escape(done.model)} gives the same vectors for the first {done.checked}.")
    else:
        console.print(f"That they are of {escape(done.model)} was not checked: --check 8 does.")
    console.print(f"Next: hype search QUERIES --model {escape(done.model)} --embeddings {label}")
