"""``hype demo``: the whole chain on this machine's own documentation."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this verb."""
