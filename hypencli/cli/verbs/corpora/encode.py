"""``hype encode``: documents to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    BackboneOption,
    DeviceOption,
    IdKeyOption,
    JsonOption,
    ModelOption,
    NameOption,
    PoolingOption,
    StoreOption,
    TextKeyOption,
    TrustOption,
    default_device,
    open_store,
    parse_batch_size,
    parse_part,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, escape, seconds, show, size

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.encode import Encoded, EncodePlan


def encode(
    dataset: Annotated[
        str,
        typer.Argument(
            help="An ir_datasets id (msmarco-passage, vaswani, beir/scifact), a prepared dataset, "
            "a JSONL or TSV file (.gz too), or a BEIR folder.",
            show_default=False,
        ),
    ],
    model: ModelOption = None,
    name: NameOption = None,
    id_key: IdKeyOption = None,
    text_key: TextKeyOption = None,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens a document is cut to.")] = 512,
    batch_size: Annotated[
        str, typer.Option(help="Documents in a batch; auto fills batches to a token budget.")
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            help="Arithmetic of the encoder: float32, bfloat16, float16; auto takes bfloat16 where "
            "it is faster on this machine."
        ),
    ] = "float32",
    storage_dtype: Annotated[
        str, typer.Option(help="Vectors on disk: float16 or float32.")
    ] = "float16",
    device: DeviceOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many documents.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Do part i of N of the plan, as 2/8.", show_default=False),
    ] = None,
    shard_rows: Annotated[int, typer.Option(min=1, help="Documents in a shard.")] = 16_384,
    keep_text: Annotated[
        bool, typer.Option(help="Keep the documents' text, so that results can be shown.")
    ] = True,
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Wait so long while another process makes the same set; 0 leaves, saying who.",
        ),
    ] = 0.0,
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="At a line of the file that holds no document: stop, or leave it out."),
    ] = "stop",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Encode a corpus into the store.

    Documents are read in a stream. The same command again does nothing; after a kill it goes on at
    the last finished shard.

    Examples:
        hype encode vaswani

        hype encode docs.jsonl --id-key docno --text-key body --model jfkback/hypencoder.6_layer

        hype encode msmarco-passage --shard 2/8 --device cuda
    """
    from hypencli.data.corpus import open_corpus
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.encode import EncodeOptions, plan
    from hypencli.ops.encode import encode as run
    from hypencli.ops.models import ModelSource

    opened = open_store(store)
    options = EncodeOptions(
        max_length=max_length,
        dtype=dtype,
        storage_dtype=storage_dtype,
        batch_size=parse_batch_size(batch_size),
        device=default_device(device, opened),
        shard_rows=shard_rows,
        keep_text=keep_text,
        limit=limit,
        part=parse_part(shard),
        name=name,
        wait_seconds=wait,
    )
    source = ModelSource(model, backbone=backbone, pooling=pooling, trust_code=trust_code)
    place = dataset_place(opened.root, dataset)
    corpus = open_corpus(place, id_key=id_key, text_key=text_key, on_error=on_error)
    if dry_run:
        show(plan(opened, corpus, source, options, progress()), _draw_plan, as_json=json)
    else:
        show(run(opened, corpus, source, options, progress()), _draw_encoded, as_json=json)


def _draw_plan(console: Console, plan: EncodePlan) -> None:
    documents = "an unknown number of" if plan.n_documents is None else f"{plan.n_documents:,}"
    console.print(f"Would encode {documents} documents of {plan.corpus} with {plan.model},")
    shards = "?" if plan.n_shards is None else plan.n_shards
    disk = "" if plan.bytes_on_disk is None else f", {size(plan.bytes_on_disk)} of vectors"
    console.print(f"{plan.dim} wide, into {plan.embeddings}: {shards} shards{disk}.")
    if plan.finished:
        console.print("That set is there and whole: nothing would be done.")
    else:
        console.print(f"Shards there already: {plan.shards_done}.")


def _draw_encoded(console: Console, done: Encoded) -> None:
    what = f"{done.n_documents:,} documents of {done.corpus}, {done.dim} wide"
    if done.existing:
        console.print(f"Already there: {done.embeddings}, {what}.")
    elif done.finished:
        rate = done.encoded / done.seconds if done.seconds else 0.0
        console.print(
            f"Encoded {what}, in {seconds(done.seconds)} ({rate:,.0f} documents/s): "
            f"{done.embeddings}"
        )
    else:
        console.print(f"This part is done. Shards still to come: {done.missing_shards}.")
    if done.skipped:
        lines = "1 line" if done.skipped == 1 else f"{done.skipped:,} lines"
        console.print(escape(f"Left out: {lines} that hold no document. {done.first_skipped[0]}"))
    draw_name_not_given(console, done.name_not_given, done.name or done.embeddings)
    if done.finished:
        of = f"--model {escape(done.model)} --embeddings {escape(done.name or done.embeddings)}"
        console.print(f"Next: hype search QUERIES {of}", soft_wrap=True)
        console.print(f"  or: hype query 'a question' {of}", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(encode)
