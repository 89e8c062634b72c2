"""``hype data prepare`` and ``hype data list``: datasets of the hard tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store, store_around
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import escape, show
from hypencli.cli.output.tables import print_pairs
from hypencli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from hypencli.ops.datasets.prepare import DatasetList, ListedDataset, Prepared


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="followir-train, followir-test, tot-train, tot-test or dl-hard-test "
            "(FollowIR_train and the like are understood).",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A folder with the files as they were released; nothing is downloaded.",
            show_default="downloaded",
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
        typer.Option(min=0, help="followir-train: of the choice of negatives.", show_default="42"),
    ] = None,
    all_queries: Annotated[
        bool,
        typer.Option("--all-queries", help="followir-train: queries without an instruction too."),
    ] = False,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Count records with an empty text or an unknown id; do not stop."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Prepare it again where it is there.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Make a hard task's dataset: training rows, or documents, queries and judgements.

    In a store, encode, search, eval, train and data check then take it by its name. The folder
    appears as a whole; the same command again does nothing.

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
        offer = f"With the files at hand: hype data prepare {name} --from FOLDER"
        hint = offer if error.hint is None else f"{error.hint}\n{offer}"
        raise DataError(error.message, hint=hint) from error
    show(done, _draw_prepared, as_json=json)


def _draw_prepared(console: Console, done: Prepared) -> None:
    verb = "Had prepared" if done.existing else "Prepared"
    seed = "" if done.seed is None else f" (seed {done.seed})"
    console.print(f"{verb} {done.name}{seed} in {escape(done.path)}")
    for name, part in done.parts.items():
        left_out = f"; left out: {_counts(part.left_out)}" if part.left_out else ""
        notes = f"; noted: {_counts(part.notes)}" if part.notes else ""
        console.print(f"  {name}: {_counts(part.counts)}{left_out}{notes}")
    if done.corpus is not None:
        console.print(f"  documents: those of {done.corpus}")
    for kind, occurrences in done.faults.items():
        console.print(f"{occurrences.count:,} {kind} (the first: {escape(occurrences.first)})")
    for i, command in enumerate(done.next):
        console.print(f"{'Next: ' if i == 0 else '      '}{escape(command)}", soft_wrap=True)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what.replace('_', ' ')} {count:,}" for what, count in counts.items())


def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the datasets that can be prepared, and which of them the store has.

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
        console.print(f"Here: in {escape(listing.folder)}")
    console.print("Next: hype data prepare NAME")


def _meaning(one: ListedDataset) -> str:
    """What a dataset is, where it is from, and the first count of each part that is here."""
    said = f"{one.about} ({one.holds}). From {one.source}."
    if one.prepared is None:
        return said
    firsts = {name: next(iter(part.counts.items())) for name, part in one.prepared.items()}
    here = ", ".join(f"{name}: {what} {count:,}" for name, (what, count) in firsts.items())
    return f"{said} Here: {here}."


def register(group: typer.Typer) -> None:
    """Add these verbs to ``hype data``."""
    group.command()(prepare)
    group.command("list")(list_)
