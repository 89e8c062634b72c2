"""``hype import``: a command for each kind of artifact."""

from __future__ import annotations

import typer

from hypencli.cli.verbs.exchange.import_embeddings import import_embeddings
from hypencli.cli.verbs.exchange.import_graph import import_graph
from hypencli.cli.verbs.exchange.import_model import import_model
from hypencli.cli.verbs.exchange.import_run import import_run
from hypencli.cli.verbs.exchange.import_study import import_study

import_ = typer.Typer(
    help="Add files of other tools, or of another store, to this store.", no_args_is_help=True
)
import_.command("run")(import_run)
import_.command("embeddings")(import_embeddings)
import_.command("graph")(import_graph)
import_.command("model")(import_model)
import_.command("study")(import_study)
