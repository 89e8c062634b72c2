"""``hype import study``: the runs and measures of another store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.transfer.study_import import ImportedStudy


def import_study(
    file: Annotated[
        Path, typer.Argument(help="A file that `hype export study` wrote.", show_default=False)
    ],
    drop_names: Annotated[
        bool,
        typer.Option(
            "--drop-names",
            help="Import artifacts whose names exist in this store without their names.",
        ),
    ] = False,
    max_gigabytes: Annotated[
        float, typer.Option(min=0.001, help="Refuse an archive that unpacks to more gigabytes.")
    ] = 16.0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add the runs and measures of another store, unchanged.

    Of their models and embedding sets the store gets only the manifests.

    Examples:
        hype import study study.zip

        hype import study study.zip --drop-names
    """
    from hypencli.ops.transfer.study_import import import_study as run_import

    done = run_import(
        open_store(store),
        file,
        drop_names=drop_names,
        max_bytes=round(max_gigabytes * 2**30),
        progress=progress(),
    )
    show(done, _draw_imported, as_json=json)


def _draw_imported(console: Console, done: ImportedStudy) -> None:
    console.print(
        f"Took in {len(done.runs):,} runs and {done.evaluations:,} evaluations; "
        f"{done.existing:,} existed already."
    )
    if done.references:
        console.print(
            f"Of {done.references:,} models, embedding sets and graphs the store has only the "
            "manifests: `hype show` prints them. To search with one, train, encode or import it."
        )
    if done.unnamed:
        console.print(f"Imported without their names: {', '.join(map(escape, done.unnamed))}.")
    console.print("Next: hype report")
