"""``hype data prepare`` and ``hype data list``: the datasets of the hard tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, OverwriteOption, StoreOption, open_store, store_around
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_pairs
from hypencli.errors import DataError
from hypencli.escaping import escape_shell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from hypencli.ops.datasets.prepare import DatasetList, ListedDataset, Prepared


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The dataset: followir-train, followir-test, tot-train, tot-test or dl-hard-test.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder with the released files. With it, nothing is downloaded.",
            show_default="download the files",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder to write.", show_default="data/NAME in the store"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With followir-train: seed of the choice of negatives.",
            show_default="42",
        ),
    ] = None,
    all_queries: Annotated[
        bool,
        typer.Option(
            "--all-queries", help="With followir-train: also queries without an instruction."
        ),
    ] = False,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Skip and count records with an empty text or an unknown id."
        ),
    ] = False,
    overwrite: OverwriteOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Prepare the dataset of a hard task: training rows, or documents, queries and judgements.

    Without --output, the dataset is kept in the store, and encode, search, eval, train and data
    check take it by its name. Running the same command again does nothing.

    Examples:
        hype data prepare tot-train

        hype data prepare dl-hard-test --from DL-Hard/

        hype data prepare followir-train --seed 7 --output rows/followir
    """
    from hypencli.data.prepare.download import DownloadError
    from hypencli.ops.datasets.prepare import PrepareOptions
    from hypencli.ops.datasets.prepare import prepare as run

    root = open_store(store).root if output is None else store_around(store)
    options = PrepareOptions(
        output=output,
        source=source,
        seed=seed,
        all_queries=all_queries,
        lenient=lenient,
        overwrite=overwrite,
    )
    try:
        done = run(name, options, store_root=root, progress=progress())
    except DownloadError as error:
        offer = f"If you have the files: hype data prepare {escape_shell(name)} --from FOLDER"
        hint = offer if error.hint is None else f"{error.hint}\n{offer}"
        raise DataError(error.message, hint=hint) from error
    show(done, _draw_prepared, as_json=json)


def _draw_prepared(console: Console, done: Prepared) -> None:
    verb = "Already prepared:" if done.existing else "Prepared"
    seed = "" if done.seed is None else f" (seed {done.seed})"
    console.print(f"{verb} {done.name}{seed} in {escape(done.path)}")
    for name, part in done.parts.items():
        left_out = f"; left out: {_counts(part.left_out)}" if part.left_out else ""
        notes = f"; noted: {_counts(part.notes)}" if part.notes else ""
        console.print(f"  {name}: {_counts(part.counts)}{left_out}{notes}")
    if done.corpus is not None:
        console.print(f"  documents: {done.corpus}")
    for kind, occurrences in done.faults.items():
        console.print(f"{occurrences.count:,} {kind} (the first: {escape(occurrences.first)})")
    for i, command in enumerate(done.next):
        console.print(f"{'Next: ' if i == 0 else '      '}{escape(command)}", soft_wrap=True)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in counts.items())


def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the datasets that `hype data prepare` takes, and which of them the store has.

    Examples:
        hype data list

        hype data list --json
    """
    from hypencli.ops.datasets.prepare import list_datasets

    show(list_datasets(store_around(store)), _draw_list, as_json=json)


def _draw_list(console: Console, listing: DatasetList) -> None:
    width = max(len(one.name) for one in listing.datasets)
    print_pairs([(one.name, _meaning(one)) for one in listing.datasets], width=width)
    if listing.folder is not None:
        console.print(f"Prepared datasets lie in {escape(listing.folder)}")
    console.print("Next: hype data prepare NAME")


def _meaning(one: ListedDataset) -> str:
    """A dataset in a sentence: contents, origin, and counts if it is prepared."""
    said = f"{one.about} ({one.holds}). From {one.source}."
    if one.prepared is None:
        return said
    firsts = {name: next(iter(part.counts.items())) for name, part in one.prepared.items()}
    here = ", ".join(f"{name}: {what} {count:,}" for name, (what, count) in firsts.items())
    return f"{said} Here: {here}."
