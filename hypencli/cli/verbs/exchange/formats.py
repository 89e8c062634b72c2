"""The option ``--format`` of the export verbs."""

from __future__ import annotations

from typing import Any

import typer

from hypencli.ops.transfer.exporters import EXPORTERS, ExportKind


def format_option(kind: ExportKind) -> Any:
    """The option that names a format of a kind of artifact, with the shipped ones in its help."""
    formats = EXPORTERS[kind]
    default = "told by the file's ending"
    if kind != "embeddings":  # which always go to a file that is named
        default += f", else {formats[0].name}"
    described = "; ".join(f"{one.name}: {one.description}" for one in formats)
    return typer.Option(
        "--format",
        metavar="|".join(one.name for one in formats),
        help=f"The format. {described}. Installed packages can offer more.",
        show_default=default,
    )
