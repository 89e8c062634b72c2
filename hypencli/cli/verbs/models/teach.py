"""``hype teach``: a teacher's scores for a training file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    BackboneOption,
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    PoolingOption,
    RowsOutputOption,
    SplitOption,
    StoreOption,
    TrustOption,
    open_store,
    parse_batch_size,
    store_around,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, seconds, show
from hypencli.errors import UsageError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.datasets.teach import Taught


def teach(
    rows: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Training rows: a JSONL (.gz too) or Parquet file, a folder of them, a dataset of "
            "`hype data prepare`, or owner/name of a dataset on the hub.",
            show_default=False,
        ),
    ],
    output: RowsOutputOption,
    model: Annotated[
        str | None,
        typer.Option(
            help="A cross-encoder as the teacher: the folder of a sequence classifier, or its name "
            "on the hub.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Which output of a cross-encoder means relevance, by name or number, where it "
            "has several. Its log-odds are the score.",
            show_default=False,
        ),
    ] = None,
    bi_encoder: Annotated[
        str | None,
        typer.Option(
            help="A bi-encoder or Hypencoder as the teacher: a model of the store, a folder, or a "
            "name on the hub.",
            show_default=False,
        ),
    ] = None,
    split: SplitOption = "train",
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Tokens of a pair; the longer text is cut first. With --bi-encoder: tokens of a "
            "passage.",
            show_default="512, or the model's limit if that is lower",
        ),
    ] = None,
    query_max_length: Annotated[
        int, typer.Option(min=2, help="With --bi-encoder: tokens of a query; longer ones are cut.")
    ] = 64,
    batch_size: BatchSizeOption = "auto",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Arithmetic of the model.")
    ] = "float32",
    device: DeviceOption = None,
    overwrite: OverwriteOption = False,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a teacher's scores into a training file.

    The loss margin_mse learns from these scores. After an interruption, the same command continues
    where it stopped.

    Examples:
        hype teach train.jsonl --model cross-encoder/ms-marco-MiniLM-L6-v2 --output scored.jsonl

        hype teach train.jsonl --bi-encoder my-model --output scored.parquet
    """
    from hypencli.data.training import open_training_rows
    from hypencli.data.training.writing import refuse_existing
    from hypencli.ops.dataset_names import dataset_place
    from hypencli.ops.datasets.teach import teach as run
    from hypencli.ops.datasets.teachers import TeacherOptions, cross_encoder, dual_encoder
    from hypencli.ops.models import ModelSource

    if (model is None) == (bi_encoder is None):
        raise UsageError(
            "A teacher is either a cross-encoder (--model) or a bi-encoder (--bi-encoder).",
            hint="Name one: --model CROSS_ENCODER, or --bi-encoder MODEL",
        )
    refuse_existing(output, overwrite=overwrite)
    source = open_training_rows(dataset_place(store_around(store), rows), split=split)
    options = TeacherOptions(
        max_length, query_max_length, parse_batch_size(batch_size), dtype, device
    )
    if model is not None:
        teacher = cross_encoder(model, label=label, options=options)
    else:
        named = ModelSource(bi_encoder, backbone=backbone, pooling=pooling, trust_code=trust_code)
        teacher = dual_encoder(named, options=options, store=lambda: open_store(store))
    done = run(source, teacher, output, overwrite=overwrite, progress=progress())
    show(done, _draw_taught, as_json=json)


def _draw_taught(console: Console, done: Taught) -> None:
    scored = done.items - done.resumed
    rate = f" ({scored / done.seconds:,.0f} pairs/s)" if done.seconds else ""
    console.print(
        f"Wrote {done.rows:,} rows with {done.items:,} scores of {escape(done.teacher)} to "
        f"{escape(done.output)}, in {seconds(done.seconds)}{rate}."
    )
    if done.replaced:
        console.print(f"{done.replaced:,} items had a score already; it was replaced.")
    console.print(f"Next: hype data check {escape_shell(done.output)}")
