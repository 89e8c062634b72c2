"""``hype train``: a recipe becomes a model in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    JsonOption,
    NameOption,
    StoreOption,
    chosen_device,
    open_store,
)
from hypencli.cli.render import number, progress, seconds, show

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.train import TrainedModel


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A shipped recipe by name (hype recipes), or a TOML file.", show_default=False
        ),
    ],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value: training.steps=100.", show_default=False),
    ] = None,
    name: NameOption = None,
    device: DeviceOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Train a model by a recipe; it lands in the store with its recipe, curves and lineage.

    The same command again does nothing: the model is there.

    Examples:
        hype train recipes/demo.toml

        hype train demo --set training.steps=100 --name quick
    """
    from hypencli.ops.train import train as run
    from hypencli.recipe import load_recipe

    resolved = load_recipe(recipe, override or ())
    opened = open_store(store)
    chosen = chosen_device(device, opened)
    done = run(opened, resolved, name=name, device=chosen, progress=progress())
    show(done, _draw_trained, as_json=json)


def _draw_trained(console: Console, done: TrainedModel) -> None:
    label = done.name or done.model_id
    if done.existing:
        console.print(f"Already trained: {label} ({done.model_id}).")
    else:
        console.print(
            f"Trained {label} on {done.n_rows:,} rows: {done.steps:,} steps in "
            f"{seconds(done.seconds)}, final loss {number(done.final_loss)}."
        )
        console.print(f"Model: {done.model_id}")
    console.print(f"Next: hype encode DATASET --model {label}")


def register(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(train)
