"""``hype train``: train a model by a recipe and keep it in the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from hypencli.cli.options import (
    DeviceOption,
    JsonOption,
    NameOption,
    SetOption,
    StoreOption,
    default_device,
    open_store,
)
from hypencli.cli.output.progress import progress
from hypencli.cli.output.render import (
    draw_name_not_given,
    draw_next_of_model,
    number,
    seconds,
    show,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hypencli.ops.training.run import TrainedModel
    from hypencli.progress import Progress

EXIT_OUT_OF_TIME = 75
"""Exit code of a training that reached its time limit and left a checkpoint to resume from."""


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A shipped recipe by name (hype recipes), or a TOML file.", show_default=False
        ),
    ],
    override: SetOption = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--restart",
            help="After an interruption: continue from the newest checkpoint, or start again.",
        ),
    ] = True,
    name: NameOption = None,
    device: DeviceOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Train a model by a recipe.

    The store keeps the model with its recipe, curves and lineage. Running the same command again
    does nothing when the model exists, and continues from the newest checkpoint when the training
    was stopped: by Ctrl-C (exit code 130), SIGTERM (143), a kill, or `training.max_minutes` (75).

    For several devices, run `torchrun --nproc-per-node 2 -m hypencli train RECIPE`; torchrun
    itself ends with 1 after any of these codes.

    Examples:
        hype train demo --set model.backbone=ENCODER --set data.train=train.jsonl

        hype train recipes/demo.toml --set training.steps=100 --name quick
    """
    from hypencli.ops.training.run import train as run
    from hypencli.recipe import load_recipe

    resolved = load_recipe(recipe, override or ())
    opened = open_store(store)
    device_name = default_device(device, opened)
    done = run(
        opened, resolved, name=name, device=device_name, restart=not resume, progress=_progress()
    )
    if done is None:  # another process of the launcher prints the result
        return
    show(done, _draw_trained, as_json=json)
    if not done.finished:
        raise typer.Exit(EXIT_OUT_OF_TIME)


def _progress() -> Progress:
    """Progress of the process with rank 0; the others of a launcher are silent."""
    from hypencli.progress import SILENT

    return progress() if os.environ.get("RANK", "0") == "0" else SILENT


def _draw_trained(console: Console, done: TrainedModel) -> None:
    label = done.name or done.model_id
    if not done.finished:
        console.print(
            f"Stopped at step {done.steps:,}: the time limit was reached. A checkpoint was written "
            f"({done.model_id})."
        )
        console.print("Next: run the same command again to continue.")
        return
    if done.existing:
        console.print(f"Already trained: {label} ({done.model_id}).")
        draw_name_not_given(console, done.name_not_given, label)
    else:
        if done.resumed_from:
            console.print(f"Continued from step {done.resumed_from:,}.")
        console.print(
            f"Trained {label} on {done.n_rows:,} rows: {done.steps:,} steps in "
            f"{seconds(done.seconds)}, final loss {number(done.final_loss)}."
        )
        if done.best_step is not None:
            console.print(
                f"The weights are those of step {done.best_step:,}, which validated best."
            )
        console.print(f"Model: {done.model_id}")
    draw_next_of_model(console, label, done.embeddings)
