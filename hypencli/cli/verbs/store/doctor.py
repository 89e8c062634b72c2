"""``hype doctor``: check the store, rebuild its catalog, clean it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, StoreOption, open_store
from hypencli.cli.output.render import escape, show, size

if TYPE_CHECKING:
    from rich.console import Console

    from hypestore import DoctorReport


def doctor(
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Also compare the SHA-256 of every file.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Rebuild the catalog from the artifacts.")
    ] = False,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Remove unfinished work, leftover files and unused caches."),
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Check the store, rebuild its catalog, or clean it up.

    The exit code is 4 if an artifact is damaged.

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
            "`hype doctor --clean` removes the unused ones."
        )
    for finding in report.findings:
        place = " ".join(str(part) for part in (finding.artifact, finding.file) if part)
        parts = (finding.severity, escape(place), escape(finding.problem))
        console.print(": ".join(part for part in parts if part))
        if finding.remedy:
            console.print(f"  {escape(finding.remedy)}")
    if not report.findings:
        console.print("No problems.")
