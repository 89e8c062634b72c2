"""``hype rm``: remove an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, ReferenceArgument, StoreOption, open_store
from hypencli.cli.output.render import show

if TYPE_CHECKING:
    from rich.console import Console


def rm(
    reference: ReferenceArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Also remove the artifacts that were computed from it.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an artifact that no other needs, or unfinished work.

    Examples:
        hype rm old-run

        hype rm vaswani-1a2b3c4d5e --force
    """
    removed = {"removed": open_store(store).remove(reference, force=force)}

    def draw(console: Console, result: Mapping[str, list[str]]) -> None:
        for name in result["removed"]:
            console.print(f"Removed {name}.")

    show(removed, draw, as_json=json)
