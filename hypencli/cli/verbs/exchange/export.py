"""``hype export``: a verb for each kind of artifact."""

from __future__ import annotations

import typer

from hypencli.cli.verbs.exchange.export_embeddings import export_embeddings
from hypencli.cli.verbs.exchange.export_graph import export_graph
from hypencli.cli.verbs.exchange.export_model import export_model
from hypencli.cli.verbs.exchange.export_run import export_run
from hypencli.cli.verbs.exchange.export_study import export_study


def register(app: typer.Typer) -> None:
    """Add these verbs."""
    group = typer.Typer(
        help="Write artifacts to files that other tools read.", no_args_is_help=True
    )
    group.command("run")(export_run)
    group.command("embeddings")(export_embeddings)
    group.command("graph")(export_graph)
    group.command("model")(export_model)
    group.command("study")(export_study)
    app.add_typer(group, name="export")
