"""``hype export`` and ``hype import``: runs and models to and from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypencli.cli.options import (
    BackboneOption,
    ExportedOption,
    JsonOption,
    NameOption,
    OverwriteOption,
    PoolingOption,
    ReferenceArgument,
    StoreOption,
    TrustOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import (
    draw_name_not_given,
    escape,
    show,
    size,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.models import ExportedModel, ImportedModel
    from hypencli.ops.transfer.runs import Exported, Imported

export = typer.Typer(
    help="Write what the store holds to files that other tools read.", no_args_is_help=True
)
import_ = typer.Typer(help="Take what was made elsewhere into the store.", no_args_is_help=True)


@export.command("run")
def export_run(
    run: ReferenceArgument,
    format: Annotated[
        Literal["trec", "jsonl", "parquet"] | None,
        typer.Option(help="The format.", show_default="told by the file's ending, else trec"),
    ] = None,
    output: ExportedOption = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a run as a TREC file, the published JSONL, or Parquet; ranks start at 1.

    Examples:
        hype export run my-run --output my-run.trec

        hype export run my-run --format jsonl
    """
    from hypencli.ops.transfer.runs import export_run as run_export

    done = run_export(open_store(store), run, output=output, format=format, overwrite=overwrite)

    def draw(console: Console, done: Exported) -> None:
        console.print(
            f"Wrote {done.n_results:,} results for {done.n_queries:,} queries to {done.path} "
            f"({done.format})."
        )

    show(done, draw, as_json=json)


@export.command("model")
def export_model(
    model: ReferenceArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write.", show_default=False)
    ],
    backbone_name: Annotated[
        str | None,
        typer.Option(
            "--backbone-name",
            help="What published code loads the encoder by, a name on the hub; "
            "for a model that was trained from a local folder.",
            show_default="as recorded",
        ),
    ] = None,
    with_bin: Annotated[
        bool,
        typer.Option("--bin/--safe", help="Also write pytorch_model.bin; or safetensors alone."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model that is in the folder.")
    ] = False,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a model as a folder for the hub, which the code published with the paper loads.

    Weights, configuration, tokenizer, card and recipe; loaded again by hypencli.load and --model.

    Examples:
        hype export model mine --output mine-export

        hype export model mine -o mine-export --backbone-name google-bert/bert-base-uncased --bin
    """
    from hypencli.ops.transfer.models import export_model as model_export

    done = model_export(
        open_store(store),
        model,
        output,
        backbone_name=backbone_name,
        with_bin=with_bin,
        overwrite=overwrite,
        trust_code=trust_code,
    )
    show(done, _draw_exported, as_json=json)


def _draw_exported(console: Console, done: ExportedModel) -> None:
    console.print(f"Wrote {len(done.files)} files, {size(done.size_bytes)}, to {done.path}:")
    console.print(f"  {', '.join(done.files)}")
    if done.obstacles:
        console.print(f"Published code cannot use it: {escape('; '.join(done.obstacles))}.")
        return
    if done.local_backbones:
        named = " and ".join(map(repr, done.local_backbones))
        console.print(
            f"Warning: published code loads the encoder by its name, and the one recorded, "
            f"{escape(named)}, is a folder of this machine."
        )
        console.print("  Say what it is on the hub: --backbone-name OWNER/NAME --overwrite")
    else:
        console.print("Published code loads it.")
    for difference in done.differences:
        console.print(f"Published code computes otherwise: {difference}.")


@import_.command("model")
def import_model(
    folder: Annotated[
        str,
        typer.Argument(help="A checkpoint: a folder, or a name on the hub.", show_default=False),
    ],
    name: NameOption = None,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy it into the store, which then needs the folder no more."),
    ] = False,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Make a checkpoint a model of the store, by reference or as a copy.

    By reference, its place and a hash of its files are recorded, and changed files are refused.

    Examples:
        hype import model ../published --name published

        hype import model jfkback/hypencoder.6_layer --copy
    """
    from hypencli.ops.models import ModelSource
    from hypencli.ops.transfer.models import import_model as model_import

    source = ModelSource(folder, backbone, pooling, name, trust_code)
    done = model_import(open_store(store), source, copy=copy, progress=progress())

    def draw(console: Console, done: ImportedModel) -> None:
        verb = "Already there" if done.existing else "Copied in" if done.copied else "Registered"
        display_name = escape(done.name or done.model)
        console.print(
            f"{verb}: {display_name} ({done.model}), a {done.architecture} of {done.parameters:,} "
            f"parameters, {done.dim} wide."
        )
        draw_name_not_given(console, done.name_not_given, done.name or done.model)
        console.print(f"Next: hype encode DATASET --model {display_name}")

    show(done, draw, as_json=json)


@import_.command("run")
def import_run(
    file: Annotated[
        Path,
        typer.Argument(help="A TREC run, or JSONL as published (.gz too).", show_default=False),
    ],
    name: NameOption = None,
    corpus: Annotated[
        str | None, typer.Option(help="The corpus it is of, for the leaderboard.")
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(help="The query set it is of; an ir_datasets id brings its judgements."),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take in a run made elsewhere: BM25, another model, a published one.

    Examples:
        hype import run bm25.trec --corpus vaswani --queries vaswani

        hype import run published.jsonl --name hypencoder-paper
    """
    from hypencli.ops.transfer.runs import import_run as run_import

    done = run_import(open_store(store), file, name=name, corpus=corpus, queries=queries)

    def draw(console: Console, done: Imported) -> None:
        verb = "Already there" if done.existing else "Took in"
        label = escape(done.name or done.run)
        console.print(
            f"{verb}: {label}, {done.n_results:,} results for {done.n_queries:,} queries."
        )
        draw_name_not_given(console, done.name_not_given, done.name or done.run)
        if done.reordered_queries:
            count = done.reordered_queries
            whose = (
                "1 query contradict its" if count == 1 else f"{count:,} queries contradict their"
            )
            console.print(f"The ranks of {whose} scores: the scores are followed.")
        console.print(f"Next: hype eval {label} --qrels FILE_OR_DATASET")

    show(done, draw, as_json=json)


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.add_typer(export, name="export")
    app.add_typer(import_, name="import")
