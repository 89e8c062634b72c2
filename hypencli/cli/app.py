"""The verbs of ``hype`` put together."""

from __future__ import annotations

import importlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.core

from hypencli._version import __version__
from hypencli.escaping import escape_terminal
from hypencli.signals import ReaderLeft

_VERBS: Mapping[str, Sequence[str]] = {
    "store.project": ("init", "ls", "show", "rm", "doctor"),
    "corpora.data": ("data",),
    "models.train": ("train",),
    "corpora.encode": ("encode",),
    "corpora.graph": ("graph", "export", "import"),
    "search.search": ("search", "query"),
    "search.calibrate": ("calibrate",),
    "search.engines": ("engines",),
    "compare.eval": ("eval", "report"),
    "search.fuse": ("fuse",),
    "corpora.perturb": ("perturb",),
    "models.mine": ("mine",),
    "models.teach": ("teach",),
    "exchange.transfer": ("export", "import"),
    "exchange.transfer_embeddings": ("export", "import"),
    "exchange.transfer_study": ("export", "import"),
    "models.recipes": ("recipes",),
    "compare.replicate": ("replicate",),
    "store.demo": ("demo",),
}
"""Modules of this package in the order of the help, and the verbs that each has a part in."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hype {__version__}")
        raise typer.Exit


class _Stopped(Exception):
    """Carries past Typer what it would make an exit code of: a signal, a pipe without reader."""

    def __init__(self, reason: KeyboardInterrupt | BrokenPipeError) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def _past_typer() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError) as reason:
        raise _Stopped(reason) from reason
    except SystemExit as end:  # what Rich makes of a closed pipe where Typer prints help
        if isinstance(end.__context__, BrokenPipeError):
            raise _Stopped(ReaderLeft()) from end
        raise


class Verbs(typer.core.TyperGroup):
    """The verbs, which end by a signal or a closed pipe as ``main`` says, not as Typer would."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line; help is printed here."""
        with _past_typer():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _past_typer():
            return super().invoke(ctx)


def _hype(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every verb; ``--debug`` is read before, wherever it stands."""


def command(verb: str | None = None) -> Any:
    """The command line.

    Args:
        verb: One that is called: others may be missing then. Each costs a millisecond or two of
            every start. None, or a word that is none of the verbs, for all of them.
    """
    app = typer.Typer(
        name="hype",
        cls=Verbs,
        help="Hypencoder retrieval: train q-nets, encode corpora, search, evaluate, compare.\n\n"
        "Everything a study makes is kept in one project store: start with `hype init`, "
        "or see it all on this machine's own documentation with `hype demo`.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_hype)
    needed = [module for module, verbs in _VERBS.items() if verb in verbs]
    for module in needed or _VERBS:
        importlib.import_module(f"hypencli.cli.verbs.{module}").register(app)
    return typer.main.get_command(app)


# Newer versions of Typer carry a click of their own: the root of its errors is asked of Typer.
_CommandLineError: type[typer.BadParameter] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _EscapedMessages(logging.Formatter):
    """Warnings of the store, which name files and ids as they are."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_terminal(super().format(record))


def run(arguments: list[str]) -> int:
    """Run a verb; usage errors are shown and give 2, all others are raised.

    Args:
        arguments: The command line without the program's name.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_EscapedMessages())
    try:
        verbs = command(arguments[0] if arguments else None)
        result = verbs.main(args=arguments, prog_name="hype", standalone_mode=False)
    except _CommandLineError as error:
        usage = io.StringIO()
        error.show(file=usage)
        typer.echo(escape_terminal(usage.getvalue()), err=True, nl=False)
        return int(error.exit_code)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except _Stopped as stopped:
        raise stopped.reason from None
    return result if isinstance(result, int) else 0
