"""``hype export study``: runs, measures and their origin in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, OverwriteOption, StoreOption, open_store
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import show, size

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.study_export import ExportedStudy


def export_study(
    output: Annotated[
        Path,
        typer.Argument(
            help="The file (ZIP), or a folder for one that is called after the store.",
            show_default=False,
        ),
    ],
    run: Annotated[
        list[str] | None,
        typer.Option(help="A run to take; once for each.", show_default="all runs"),
    ] = None,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write runs, their measures and where they came from to one file for another store.

    Recipes, curves and manifests of models travel; weights, vectors and graphs do not.

    Examples:
        hype export study study.zip

        hype export study ~/shared --run hypencoder --run bi-encoder
    """
    from hypencli.ops.transfer.study_export import export_study as run_export

    done = run_export(
        open_store(store), output, runs=tuple(run or ()), overwrite=overwrite, progress=progress()
    )
    show(done, _draw_exported, as_json=json)


def _draw_exported(console: Console, done: ExportedStudy) -> None:
    console.print(
        f"Wrote {done.runs:,} runs and {done.evaluations:,} evaluations to {done.path} "
        f"({size(done.size_bytes)})."
    )
    console.print(
        f"{done.references:,} models, embedding sets and graphs travel as their manifests alone."
    )
    console.print(f"Elsewhere: hype import study {done.path.name}")
