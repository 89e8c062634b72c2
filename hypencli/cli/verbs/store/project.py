"""``hype init``, ``ls``, ``show``, ``rm``, ``doctor``: the project store as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    JsonOption,
    StoreOption,
    open_store,
)
from hypencli.cli.output.charts import draw_curves
from hypencli.cli.output.render import (
    escape,
    number,
    show,
    size,
)
from hypencli.cli.output.tables import print_table
from hypencli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.project import (
        Listed,
        Shown,
        ShownWork,
    )
    from hypestore import DoctorReport

_SHOWN_PROVENANCE = ("hype", "python", "packages.torch", "git", "device", "seed")

Reference = Annotated[
    str, typer.Argument(help="Name, id, or the unique beginning of an id.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class CreatedStore:
    """A store that was made."""

    store: Path


@dataclass(frozen=True, slots=True)
class Removed:
    """Artifacts that were removed."""

    removed: list[str]


def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the new store.")] = Path(),
    json: JsonOption = False,
) -> None:
    """Make a project store.

    Everything a study makes goes in it: models, embeddings, runs, measures.

    Examples:
        hype init

        hype init ~/studies/medical
    """
    from hypestore import Store

    store = Store.create(directory)

    def draw(console: Console, created: CreatedStore) -> None:
        console.print(f"Made a project store in {created.store}.")
        console.print("Next: hype train RECIPE, or hype encode DATASET --model NAME")

    show(CreatedStore(store.root), draw, as_json=json)


def ls(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="models, embeddings, graphs, calibrations, runs or evaluations.",
            show_default="all",
        ),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List what the store holds, oldest first, and then what is being made.

    Examples:
        hype ls

        hype ls runs --json
    """
    from hypencli.ops.project import listing
    from hypestore import KINDS

    wanted_kind = None
    if kind is not None:
        wanted_kind = next(
            (kind_name for kind_name in KINDS if kind in (kind_name, f"{kind_name}s")), None
        )
        if wanted_kind is None:
            raise UsageError(f"There is no kind {kind!r}.", hint=f"Kinds: {', '.join(KINDS)}.")
    opened = open_store(store)

    def draw(console: Console, artifacts: list[Listed]) -> None:
        if not artifacts:
            console.print(f"Nothing yet in {opened.root}.")
            return
        columns = ("kind", "name", "id", "created", "what", "size")
        rows = [
            (one.kind, one.name or "", one.id, one.created, one.about, size(one.size_bytes))
            for one in artifacts
        ]
        print_table("", columns, rows)

    show(listing(opened, wanted_kind), draw, as_json=json)


def show_(reference: Reference, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show one artifact: what it is, what it was made from, its measures and curves.

    Of a training that runs, or was interrupted: who works on it, and its curves so far.

    Examples:
        hype show demo

        hype show my-run --json
    """
    from hypencli.ops.project import Shown
    from hypencli.ops.project import show as look

    def draw(console: Console, shown: Shown | ShownWork) -> None:
        if isinstance(shown, Shown):
            _draw_shown(console, shown)
        else:
            _draw_work(console, shown)

    show(look(open_store(store), reference), draw, as_json=json)


def _draw_shown(console: Console, shown: Shown) -> None:
    manifest = shown.manifest
    console.print(f"{manifest.kind} {escape(manifest.name or manifest.id)}")
    if not shown.here:
        console.print("It is in another store, and known here by its manifest.")
    facts = [("id", manifest.id), ("folder", shown.path), ("created", manifest.created)]
    facts += [*_flat(manifest.inputs), *_flat(manifest.stats)]
    facts += [pair for pair in _flat(manifest.provenance) if pair[0] in _SHOWN_PROVENANCE]
    for key, value in facts:
        console.print(f"  {key}: {number(value)}")
    for title, listed in (("made from", shown.parents), ("used by", shown.children)):
        if listed:
            rows = [(one.kind, one.name or one.id, one.about) for one in listed]
            print_table(title, ("kind", "name", "what"), rows)
    for qrels, values in shown.metrics.items():
        print_table(f"measures on {qrels}", ("measure", "value"), list(values.items()))
    draw_curves(console, shown.curves)


def _draw_work(console: Console, shown: ShownWork) -> None:
    work = shown.work
    console.print(f"{work.kind} {escape(work.name or work.id)}, unfinished")
    facts: list[tuple[str, object]] = [("id", work.id), ("folder", work.path)]
    facts += [("begun", work.started.isoformat(timespec="seconds"))]
    facts += [("held by", work.holder or "nobody: its command goes on where it was interrupted")]
    if shown.last_step is not None:
        facts += [("last step", f"{shown.last_step:,}, logged {shown.updated}")]
    for key, value in [*facts, *_flat(work.inputs)]:
        console.print(f"  {key}: {number(value)}")
    draw_curves(console, shown.curves)


def _flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """What is known, a line each: ``seconds.scoring`` for a nested value."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def rm(
    reference: Reference,
    force: Annotated[
        bool, typer.Option("--force", help="Remove what was made from it, too.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an artifact; never one that another needs, unless forced.

    Work that was begun and not finished goes too, with all that was done of it.

    Examples:
        hype rm old-run

        hype rm vaswani-1a2b3c4d5e --force
    """
    removed = Removed(open_store(store).remove(reference, force=force))

    def draw(console: Console, result: Removed) -> None:
        for name in result.removed:
            console.print(f"Removed {name}.")

    show(removed, draw, as_json=json)


def doctor(
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Read every file and compare its SHA-256.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the catalog again from the artifacts.")
    ] = False,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Remove half-written work, leftover files and unused caches."),
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Check the store; with options, verify contents, rebuild the catalog, clean up.

    Exit code 4 when something is damaged.

    Examples:
        hype doctor

        hype doctor --checksums

        hype doctor --rebuild
    """
    report = open_store(store).doctor(checksums=checksums, rebuild=rebuild, clean=clean)
    show(report, _draw_report, as_json=json)
    if any(finding.severity == "error" for finding in report.findings):
        raise typer.Exit(4)


def _draw_report(console: Console, report: DoctorReport) -> None:
    console.print(f"{report.artifacts} artifacts, {report.files} files, {size(report.bytes)}.")
    if report.caches:
        console.print(
            f"Caches: {report.caches}, {size(report.cache_bytes)}; "
            "hype doctor --clean removes those that nobody uses."
        )
    for finding in report.findings:
        place = " ".join(str(part) for part in (finding.artifact, finding.file) if part)
        parts = (finding.severity, escape(place), escape(finding.problem))
        console.print(": ".join(part for part in parts if part))
        if finding.remedy:
            console.print(f"  {escape(finding.remedy)}")
    if not report.findings:
        console.print("Nothing is wrong.")


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(init)
    app.command()(ls)
    app.command("show")(show_)
    app.command()(rm)
    app.command()(doctor)
