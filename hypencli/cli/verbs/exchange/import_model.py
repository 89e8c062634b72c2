"""``hype import model``: a checkpoint as a model of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    BackboneOption,
    JsonOption,
    NameOption,
    PoolingOption,
    StoreOption,
    TrustOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_name_not_given, draw_next_of_model, escape, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.models import ImportedModel


def import_model(
    folder: Annotated[
        str,
        typer.Argument(help="A checkpoint: a folder, or a name on the hub.", show_default=False),
    ],
    name: NameOption = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy",
            help="Copy the checkpoint into the store; its folder is then no longer needed.",
        ),
    ] = False,
    backbone: BackboneOption = None,
    pooling: PoolingOption = None,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add a checkpoint to the store as a model, by reference or as a copy.

    By reference, the store records the place and a hash of the files, and refuses changed files.

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
        draw_next_of_model(console, done.name or done.model, done.embeddings)

    show(done, draw, as_json=json)
