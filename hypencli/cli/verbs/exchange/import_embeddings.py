"""``hype import embeddings``: vectors that another tool computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    BackboneOption,
    DeviceOption,
    JsonOption,
    KeepTextOption,
    ModelOption,
    NameOption,
    PoolingOption,
    ShardRowsOption,
    StorageDtypeOption,
    StoreOption,
    TrustOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, seconds, show
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.embeddings import ImportedEmbeddings


def import_embeddings(
    file: Annotated[
        Path,
        typer.Argument(
            help="Encoded items in the published format (.docs), or an array (.npy) with --ids.",
            show_default=False,
        ),
    ],
    model: ModelOption = None,
    name: NameOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="Ids of the rows of an array: a file with one id a line, or the corpus (JSONL, "
            "TSV) with its texts.",
            show_default=False,
        ),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            help="The encoded corpus: a dataset, whose queries `hype search` then finds, or any "
            "name.",
            show_default="the file",
        ),
    ] = None,
    storage_dtype: StorageDtypeOption = "float32",
    shard_rows: ShardRowsOption = 16_384,
    keep_text: KeepTextOption = True,
    check: Annotated[
        int,
        typer.Option(
            min=0,
            help="Encode this many documents with the model and refuse the file if vectors differ.",
        ),
    ] = 0,
    device: DeviceOption = None,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add an encoded corpus to the store, as vectors of the model that computed them.

    The file does not record the model: name it with --model, and verify it with --check.

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
        console.print(
            f"Checked: {escape(done.model)} computes the same vectors for the first {done.checked}."
        )
    else:
        console.print(
            f"Not checked: whether {escape(done.model)} computes these vectors. --check 8 does."
        )
    of = f"--model {escape_shell(done.model)}"
    of += f" --embeddings {escape_shell(done.name or done.embeddings)}"
    console.print(f"Next: hype search QUERIES {of}", soft_wrap=True)
