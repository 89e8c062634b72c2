"""``hype export study``: runs, measures and their origin in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    KeepPathsOption,
    OverwriteOption,
    StoreOption,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import draw_shortened, escape, show, size
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.study_export import ExportedStudy


def export_study(
    output: Annotated[
        Path,
        typer.Argument(
            help="The ZIP file to write, or a folder: the file is then named after the store.",
            show_default=False,
        ),
    ],
    run: Annotated[
        list[str] | None,
        typer.Option(help="A run to write. Repeat it for more.", show_default="all runs"),
    ] = None,
    overwrite: OverwriteOption = False,
    keep_paths: KeepPathsOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write runs, their measures and their origin to one file for another store.

    The file holds recipes, curves and manifests of the models, but no weights, vectors or graphs.
    Absolute paths in them are shortened to their last parts, unless --keep-paths is set.

    Examples:
        hype export study study.zip

        hype export study ~/shared --run hypencoder --run bi-encoder
    """
    from hypencli.ops.transfer.study_export import export_study as run_export

    done = run_export(
        open_store(store),
        output,
        runs=tuple(run or ()),
        overwrite=overwrite,
        keep_paths=keep_paths,
        progress=progress(),
    )
    show(done, _draw_exported, as_json=json)


def _draw_exported(console: Console, done: ExportedStudy) -> None:
    console.print(
        f"Wrote {done.runs:,} runs and {done.evaluations:,} evaluations to {done.path} "
        f"({size(done.size_bytes)})."
    )
    console.print(
        f"Of {done.references:,} models, embedding sets and graphs it holds only the manifests."
    )
    draw_shortened(console, done.shortened)
    if done.kept:
        named = escape(", ".join(done.kept))
        console.print(f"Their ids depend on paths, which stay: {named}.", soft_wrap=True)
    console.print(f"Next, in the other store: hype import study {escape_shell(done.path.name)}")
