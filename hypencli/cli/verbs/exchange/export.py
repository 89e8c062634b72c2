"""``hype export``: a command for each kind of artifact."""

from __future__ import annotations

import typer

from hypencli.cli.verbs.exchange.export_embeddings import export_embeddings
from hypencli.cli.verbs.exchange.export_graph import export_graph
from hypencli.cli.verbs.exchange.export_model import export_model
from hypencli.cli.verbs.exchange.export_run import export_run
from hypencli.cli.verbs.exchange.export_study import export_study

export = typer.Typer(help="Write artifacts to files that other tools read.", no_args_is_help=True)
export.command("run")(export_run)
export.command("embeddings")(export_embeddings)
export.command("graph")(export_graph)
export.command("model")(export_model)
export.command("study")(export_study)
