"""``hype init``: create a project store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import JsonOption
from hypencli.cli.output.render import show

if TYPE_CHECKING:
    from rich.console import Console


def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the new store.")] = Path(),
    json: JsonOption = False,
) -> None:
    """Create a project store.

    The store keeps everything a study computes: models, embeddings, graphs, runs, measures.

    Examples:
        hype init

        hype init ~/studies/medical
    """
    from hypestore import Store

    store = Store.create(directory)

    def draw(console: Console, created: Mapping[str, Path]) -> None:
        console.print(f"Created a project store in {created['store']}.")
        console.print("Next: hype train RECIPE, or hype encode DATASET --model NAME")

    show({"store": store.root}, draw, as_json=json)
