"""``hype import``: a verb for each kind of artifact."""

from __future__ import annotations

import typer

from hypencli.cli.verbs.exchange.import_embeddings import import_embeddings
from hypencli.cli.verbs.exchange.import_graph import import_graph
from hypencli.cli.verbs.exchange.import_model import import_model
from hypencli.cli.verbs.exchange.import_run import import_run
from hypencli.cli.verbs.exchange.import_study import import_study


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(
        help="Take files that were made elsewhere into the store.", no_args_is_help=True
    )
    group.command("run")(import_run)
    group.command("embeddings")(import_embeddings)
    group.command("graph")(import_graph)
    group.command("model")(import_model)
    group.command("study")(import_study)
    app.add_typer(group, name="import")
