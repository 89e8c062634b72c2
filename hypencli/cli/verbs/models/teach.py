"""``hype teach``: a teacher's scores for a training file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    BackboneOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    PoolingOption,
    StoreOption,
    TrustOption,
    open_store,
    parse_batch_size,
    store_around,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, seconds, show
from hypencli.cli.verbs.models.mine import OutputOption
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.datasets.teach import Taught


def teach(
    rows: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Training rows: a JSONL (.gz too) or Parquet file, a folder of such, a prepared "
            "dataset, or owner/name of a dataset on the hub.",
            show_default=False,
        ),
    ],
    output: OutputOption,
    model: Annotated[
        str | None,
        typer.Option(
            help="A cross-encoder: a sequence classifier in a folder, or by its name on the hub.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Of a cross-encoder with several outputs, the one that is relevance, by name or "
            "number; its log-odds are the score.",
            show_default=False,
        ),
    ] = None,
    bi_encoder: Annotated[
        str | None,
        typer.Option(
            help="In place of a cross-encoder, a bi-encoder or Hypencoder: of the store, a folder, "
            "or a name on the hub.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Of several splits, the one to read.")] = "train",
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Tokens a pair is cut to, the longer text first; or a passage of a bi-encoder.",
            show_default="512, or what the model reads",
        ),
    ] = None,
    query_max_length: Annotated[
        int, typer.Option(min=2, help="With a bi-encoder: tokens a query is cut to.")
    ] = 64,
    batch_size: Annotated[
        str, typer.Option(help="Pairs in a batch; auto fills batches to a token budget.")
    ] = "auto",
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

    The loss margin_mse learns from them. Scores are kept as they come: after an interruption the
    same command goes on where it was.

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
            "A teacher is either a cross-encoder or a bi-encoder.",
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
        console.print(f"{done.replaced:,} items had a score before; it was replaced.")
    console.print(f"Next: hype data check {escape(done.output)}")


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(teach)
