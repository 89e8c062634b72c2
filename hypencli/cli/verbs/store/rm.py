"""``hype rm``: remove an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption, ReferenceArgument, StoreOption, open_store
from hypencli.cli.output.render import show

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Removed:
    """Artifacts that were removed."""

    removed: list[str]


def rm(
    reference: ReferenceArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Remove what was made from it, too.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove an artifact that no other one needs.

    Unfinished work is removed by its name or id too, with all that was done of it.

    Examples:
        hype rm old-run

        hype rm vaswani-1a2b3c4d5e --force
    """
    removed = Removed(open_store(store).remove(reference, force=force))

    def draw(console: Console, result: Removed) -> None:
        for name in result.removed:
            console.print(f"Removed {name}.")

    show(removed, draw, as_json=json)


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(rm)
