"""``hype init``: make a project store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.output.render import show

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class CreatedStore:
    """A store that was made."""

    store: Path


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


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(init)
