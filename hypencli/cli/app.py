"""The verbs of ``hype`` put together."""

from __future__ import annotations

import io
import logging
from typing import Annotated

import typer

from hypencli._version import __version__
from hypencli.cli import (
    calibrate,
    data,
    demo,
    encode,
    evaluate,
    fuse,
    graph,
    mine,
    perturb,
    project,
    recipes,
    replicate,
    search,
    teach,
    train,
    transfer,
    transfer_embeddings,
    transfer_study,
)
from hypencli.harmless import harmless


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hype {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="hype",
    help="Hypencoder retrieval: train q-nets, encode corpora, search, evaluate, compare.\n\n"
    "Everything a study makes is kept in one project store: start with `hype init`, "
    "or see it all on this machine's own documentation with `hype demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def hype(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every verb; ``--debug`` is read before, wherever it stands."""


for module in (
    *(project, data, train, encode, graph, search, calibrate, evaluate, fuse, perturb),
    *(mine, teach, transfer, transfer_embeddings, transfer_study, recipes, replicate, demo),
):
    module.register(app)

command = typer.main.get_command(app)

# Newer versions of Typer carry a click of their own: the root of its errors is asked of Typer.
_CommandLineError: type[typer.BadParameter] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _HarmlessMessages(logging.Formatter):
    """Warnings of the store, which name files and ids as they are."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


_INTERRUPTED = 130
"""What Typer makes of Ctrl-C in a verb: an exit code, and no word to the user."""


def run(arguments: list[str]) -> int:
    """Run a verb; usage errors are shown and give 2, all others are raised.

    Args:
        arguments: The command line without the program's name.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_HarmlessMessages())
    try:
        result = command.main(args=arguments, prog_name="hype", standalone_mode=False)
    except _CommandLineError as error:
        usage = io.StringIO()
        error.show(file=usage)
        typer.echo(harmless(usage.getvalue()), err=True, nl=False)
        return int(error.exit_code)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    if result == _INTERRUPTED:
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0
