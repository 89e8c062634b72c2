"""The verbs of ``hype`` put together."""

from __future__ import annotations

import importlib
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from hypencli._version import __version__
from hypencli.cli.arguments import from_verb, wants_json
from hypencli.cli.options import JSON_HELP, STORE_HELP
from hypencli.errors import UsageError
from hypencli.escaping import escape_terminal
from hypencli.signals import ReaderLeft

PANELS: Mapping[str, Mapping[str, str]] = {
    "Store": {
        "init": "store.init",
        "ls": "store.ls",
        "show": "store.show",
        "rm": "store.rm",
        "doctor": "store.doctor",
        "demo": "store.demo",
    },
    "Models": {
        "recipes": "models.recipes",
        "train": "models.train",
        "mine": "models.mine",
        "teach": "models.teach",
    },
    "Corpora": {
        "data": "corpora.data",
        "encode": "corpora.encode",
        "graph": "corpora.graph",
        "perturb": "corpora.perturb",
    },
    "Search": {
        "search": "search.search",
        "query": "search.search",
        "engines": "search.engines",
        "calibrate": "search.calibrate",
        "fuse": "search.fuse",
    },
    "Compare": {
        "eval": "compare.eval",
        "report": "compare.report",
        "compare": "compare.compare",
        "costs": "compare.costs",
        "robustness": "compare.robustness",
        "replicate": "compare.replicate",
    },
    "Exchange": {
        "export": "exchange.export",
        "import": "exchange.import_",
    },
}
"""Panels of the help -> verbs -> modules of ``hypencli.cli.verbs``, in the order of the help."""


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

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs in the order of the help."""
        return [verb for verbs in PANELS.values() for verb in verbs if verb in self.commands]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, and refuse a store that stands before a verb without one."""
        name, verb, rest = super().resolve_command(ctx, args)
        if ctx.params.get("store") is not None and verb is not None and not _takes_store(verb):
            ctx.fail(f"hype {name} works without a store: leave out --store.")
        return name, verb, rest


def _takes_store(verb: Any) -> bool:
    """Whether a verb, or one of those below it, has the option ``--store``."""
    below = getattr(verb, "commands", {}).values()
    return any(one.name == "store" for one in verb.params) or any(map(_takes_store, below))


def _hype(
    store: Annotated[
        Path | None, typer.Option("--store", help=STORE_HELP, show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every verb.

    ``--store`` and ``--json`` are read by the options of the same name of each verb, and
    ``--debug`` by ``main``.
    """


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
    panels = {name: panel for panel, verbs in PANELS.items() for name in verbs}
    modules = {name: module for verbs in PANELS.values() for name, module in verbs.items()}
    needed = [modules[verb]] if verb in modules else list(dict.fromkeys(modules.values()))
    for module in needed:
        importlib.import_module(f"hypencli.cli.verbs.{module}").register(app)
    for one in app.registered_commands:
        one.rich_help_panel = panels[_verb_name(one)]
    for group in app.registered_groups:
        group.rich_help_panel = panels[_verb_name(group)]
    return typer.main.get_command(app)


def _verb_name(registered: Any) -> str:
    """What a verb is called: the name it was registered by, else that of its function."""
    return str(registered.name or registered.callback.__name__)


# Newer versions of Typer carry a click of their own: the root of its errors is asked of Typer.
_CommandLineError: type[typer.BadParameter] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _EscapedMessages(logging.Formatter):
    """Warnings of the store, which name files and ids as they are."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_terminal(super().format(record))


def _usage(error: Any) -> str | None:
    """How to call the verb that an error of the command line is about."""
    return None if error.ctx is None else f"{error.ctx.command_path} --help says how it is used."


def run(arguments: list[str]) -> int:
    """Run a verb; usage errors are shown and give 2, all others are raised.

    Args:
        arguments: The command line without the program's name.

    Raises:
        UsageError: The command line is wrong, and asks for JSON.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_EscapedMessages())
    try:
        verbs = command(next(iter(from_verb(arguments)), None))
        result = verbs.main(args=arguments, prog_name="hype", standalone_mode=False)
    except _CommandLineError as error:
        if wants_json(arguments):
            raise UsageError(error.format_message(), hint=_usage(error)) from error
        usage = io.StringIO()
        error.show(file=usage)
        typer.echo(escape_terminal(usage.getvalue()), err=True, nl=False)
        return int(error.exit_code)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except _Stopped as stopped:
        raise stopped.reason from None
    return result if isinstance(result, int) else 0
