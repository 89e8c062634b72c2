"""``hype encode``: documents to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    IdKeyOption,
    JsonOption,
    KeepTextOption,
    ModelOption,
    NameOption,
    PoolingOption,
    ShardRowsOption,
    StorageDtypeOption,
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
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.encode import Encoded, EncodePlan


def encode(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A JSONL, TSV or CSV file (.gz too), a BEIR folder, an ir_datasets id "
            "(msmarco-passage, vaswani, beir/scifact), a dataset of `hype data prepare` by its "
            "name, PREFIX:NAME of an installed source, or - for standard input.",
            show_default=False,
        ),
    ],
    model: ModelOption = None,
    name: NameOption = None,
    id_key: IdKeyOption = None,
    text_key: TextKeyOption = None,
    max_length: Annotated[
        int, typer.Option(min=2, help="Tokens of a document; longer ones are cut.")
    ] = 512,
    batch_size: BatchSizeOption = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            help="Arithmetic of the encoder: float32, bfloat16, float16, or auto: bfloat16 where "
            "the processor has it and a sample has cosines of .9999 to float32."
        ),
    ] = "auto",
    storage_dtype: StorageDtypeOption = "float16",
    device: DeviceOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Encode this many documents, from the first.", show_default="all"),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Encode only part I of N parts of the corpus, such as 2/8.",
            show_default=False,
        ),
    ] = None,
    shard_rows: ShardRowsOption = 16_384,
    keep_text: KeepTextOption = True,
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to wait for another process that encodes the same set. 0 ends at once "
            "and names that process.",
        ),
    ] = 0.0,
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option(
            help="What to do at a line of the file that holds no document: stop, or skip it."
        ),
    ] = "stop",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read all documents and show the plan; encode nothing."),
    ] = False,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Encode the documents of a dataset into the store.

    Documents are read as a stream. Running the same command again does nothing when the set is
    complete. After an interruption it goes on, and has lost about a minute of work.

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
        planned = plan(opened, corpus, source, options, progress(), read=True)
        show(planned, _draw_plan, as_json=json)
    else:
        show(run(opened, corpus, source, options, progress()), _draw_encoded, as_json=json)


def _draw_plan(console: Console, plan: EncodePlan) -> None:
    documents = "an unknown number of" if plan.n_documents is None else f"{plan.n_documents:,}"
    console.print(f"Would encode {documents} documents of {plan.corpus} with {plan.model},")
    shards = "?" if plan.n_shards is None else plan.n_shards
    disk = "" if plan.bytes_on_disk is None else f", {size(plan.bytes_on_disk)} of vectors"
    console.print(f"{plan.dim} wide, into {plan.embeddings}: {shards} shards{disk}.")
    if plan.finished:
        console.print("The store has this set already, and it is complete: nothing to do.")
    else:
        console.print(f"Shards that exist already: {plan.shards_done}.")


def _time(done: Encoded) -> str:
    """The time of a command, and the rate of encoding alone."""
    rate = "" if done.rate is None else f" ({done.rate:,.1f} documents/s)"
    return f"{seconds(done.seconds)}{rate}"


def _draw_encoded(console: Console, done: Encoded) -> None:
    what = f"{done.n_documents:,} documents of {done.corpus}, {done.dim} wide"
    if done.existing:
        console.print(f"Already there: {done.embeddings}, {what}.")
    elif done.finished:
        console.print(f"Encoded {what}, in {_time(done)}: {done.embeddings}")
    else:
        console.print(
            f"This part is done, in {_time(done)}. Shards that are still missing: "
            f"{done.missing_shards}."
        )
    if done.resumed_at is not None:
        console.print(
            f"Went on from shard {done.resumed_at}: {done.found:,} documents were encoded before, "
            f"{done.encoded:,} now."
        )
    if done.n_cut and done.max_length is not None:
        of = f" of {done.n_documents:,}" if done.finished else ""
        console.print(
            f"{done.n_cut:,}{of} documents were cut after {done.max_length:,} tokens; "
            "--max-length N reads more."
        )
    if done.skipped:
        lines = "1 line" if done.skipped == 1 else f"{done.skipped:,} lines"
        console.print(escape(f"Skipped {lines} that hold no document. {done.first_skipped[0]}"))
    draw_name_not_given(console, done.name_not_given, done.name or done.embeddings)
    if done.finished:
        of = f"--model {escape_shell(done.model)} --embeddings "
        of += f"{escape_shell(done.name or done.embeddings)}"
        console.print(f"Next: hype search QUERIES {of}", soft_wrap=True)
        console.print(f"  or: hype query 'a question' {of}", soft_wrap=True)
