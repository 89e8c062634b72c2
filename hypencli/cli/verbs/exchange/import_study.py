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
    file: Annotated[Path, typer.Argument(help="What hype export study wrote.", show_default=False)],
    drop_names: Annotated[
        bool,
        typer.Option("--drop-names", help="Leave out names that are taken here; ids stay."),
    ] = False,
    max_gigabytes: Annotated[
        float, typer.Option(min=0.001, help="The archive may unpack to so much.")
    ] = 16.0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Take in the runs and measures of another store, as they are there.

    Models and embedding sets that they came from are known here by their manifests alone.

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
        f"{done.existing:,} were here."
    )
    if done.references:
        console.print(
            f"{done.references:,} models, embedding sets and graphs are known by their manifests: "
            "hype show tells of them; to search with one, make or import it here."
        )
    if done.unnamed:
        console.print(f"Their names were taken: {', '.join(map(escape, done.unnamed))}.")
    console.print("Next: hype report")
