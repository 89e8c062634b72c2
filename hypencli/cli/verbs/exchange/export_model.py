"""``hype export model``: a model as a folder for the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    KeepPathsOption,
    OverwriteOption,
    ReferenceArgument,
    StoreOption,
    TrustOption,
    open_store,
)
from hypencli.cli.output.render import draw_shortened, escape, show, size

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.models import ExportedModel


def export_model(
    model: ReferenceArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write.", show_default=False)
    ],
    backbone_name: Annotated[
        str | None,
        typer.Option(
            "--backbone-name",
            help="Name of the encoder on the hub, which the published code loads. Set it for a "
            "model that was trained from a local folder.",
            show_default="as recorded",
        ),
    ] = None,
    with_bin: Annotated[
        bool,
        typer.Option("--bin/--safe", help="Also write pytorch_model.bin, or safetensors alone."),
    ] = False,
    overwrite: OverwriteOption = False,
    keep_paths: KeepPathsOption = False,
    trust_code: TrustOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a model as a folder for the hub, in the format of the code published with the paper.

    The folder holds weights, configuration, tokenizer, model card and recipe. hypencli.load and
    --model read it.

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
        keep_paths=keep_paths,
    )
    show(done, _draw_exported, as_json=json)


def _draw_exported(console: Console, done: ExportedModel) -> None:
    console.print(f"Wrote {len(done.files)} files, {size(done.size_bytes)}, to {done.path}:")
    console.print(f"  {', '.join(done.files)}")
    draw_shortened(console, done.shortened)
    if done.obstacles:
        console.print(f"The published code cannot load it: {escape('; '.join(done.obstacles))}.")
        return
    if done.local_backbones:
        named = " and ".join(map(repr, done.local_backbones))
        console.print(
            f"Warning: the published code loads the encoder by its name. The recorded name, "
            f"{escape(named)}, is a folder of this machine."
        )
        console.print("  Set its name on the hub: --backbone-name OWNER/NAME --overwrite")
    else:
        console.print("The published code loads it.")
    for difference in done.differences:
        console.print(f"The published code computes something else: {difference}.")
