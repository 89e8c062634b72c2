"""The option ``--format`` of the export verbs."""

from __future__ import annotations

from typing import Any

import typer

from hypencli.ops.transfer.exporters import EXPORTERS, ExportKind


def format_option(kind: ExportKind) -> Any:
    """The option ``--format`` for a kind of artifact; its help lists the shipped formats."""
    formats = EXPORTERS[kind]
    default = "by the ending of the file"
    if kind != "embeddings":  # exports of embeddings always have --output
        default += f", else {formats[0].name}"
    described = "; ".join(f"{one.name}: {one.description}" for one in formats)
    return typer.Option(
        "--format",
        metavar="|".join(one.name for one in formats),
        help=f"The format. {described}. Installed packages can offer more.",
        show_default=default,
    )
