"""The command line ``hype``: its verbs, its global options, its usage errors."""

from __future__ import annotations

import importlib
import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from hypencli._version import __version__
from hypencli.cli.arguments import from_verb, shorten_arguments, wants_json
from hypencli.cli.options import JSON_HELP, STORE_HELP
from hypencli.errors import UsageError
from hypencli.escaping import escape_terminal
from hypencli.option_fields import LARGEST
from hypencli.signals import ReaderLeft

PANELS: Mapping[str, Mapping[str, str]] = {
    "Store": {
        "init": "store.init:init",
        "ls": "store.ls:ls",
        "show": "store.show:show_",
        "rm": "store.rm:rm",
        "set": "store.set:set_",
        "doctor": "store.doctor:doctor",
        "demo": "store.demo:demo",
    },
    "Models": {
        "recipes": "models.recipes:recipes",
        "train": "models.train:train",
        "mine": "models.mine:mine",
        "teach": "models.teach:teach",
    },
    "Corpora": {
        "data": "corpora.data:data",
        "encode": "corpora.encode:encode",
        "graph": "corpora.graph:graph",
        "index": "corpora.index:index",
        "perturb": "corpora.perturb:perturb",
    },
    "Search": {
        "search": "search.search:search",
        "query": "search.query:query",
        "engines": "search.engines:engines",
        "calibrate": "search.calibrate:calibrate",
        "fuse": "search.fuse:fuse",
        "serve": "search.serve:serve",
        "mcp": "search.mcp:mcp",
    },
    "Compare": {
        "eval": "compare.eval:eval_",
        "report": "compare.report:report",
        "compare": "compare.compare:compare",
        "costs": "compare.costs:costs",
        "robustness": "compare.robustness:robustness",
        "replicate": "compare.replicate:replicate",
    },
    "Exchange": {
        "export": "exchange.export:export",
        "import": "exchange.import_:import_",
    },
}
"""Panel of the help -> verb -> ``module:attribute`` below ``hypencli.cli.verbs``.

The attribute is a function or a group of commands. The help keeps this order.
"""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hype {__version__}")
        raise typer.Exit


class _Stopped(Exception):
    """Carries a signal or a closed pipe past Typer, which would turn it into an exit code."""

    def __init__(self, reason: KeyboardInterrupt | BrokenPipeError) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def _past_typer() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError) as reason:
        raise _Stopped(reason) from reason
    except SystemExit as end:  # Rich raises it on a closed pipe while Typer prints help
        if isinstance(end.__context__, BrokenPipeError):
            raise _Stopped(ReaderLeft()) from end
        raise


class Verbs(typer.core.TyperGroup):
    """The group of verbs; ``main`` handles signals and closed pipes in place of Typer."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command line; this may print help."""
        with _past_typer():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _past_typer():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the verbs in the order of the help."""
        return [verb for verbs in PANELS.values() for verb in verbs if verb in self.commands]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb; refuse ``--store`` before a verb that uses no store."""
        name, verb, rest = super().resolve_command(ctx, args)
        if ctx.params.get("store") is not None and verb is not None and not _takes_store(verb):
            ctx.fail(f"hype {name} works without a store: leave out --store.")
        return name, verb, rest


def _takes_store(verb: Any) -> bool:
    """Whether a verb, or a command of its group, has the option ``--store``."""
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
    """Options that stand before the verb.

    The options ``--store`` and ``--json`` of each verb read these values; ``main`` reads
    ``--debug``.
    """


def command(verb: str | None = None, *, outline: bool = False) -> Any:
    """Build the command line.

    Args:
        verb: The verb that is called; only this one is built, which saves a millisecond or two
            for each of the others. None, or a word that is no verb, builds all.
        outline: Build verbs without their options, for a command line that names none of them,
            such as ``hype --help``.
    """
    app = typer.Typer(
        name="hype",
        cls=Verbs,
        help="Hypencoder retrieval: train q-nets, encode corpora, search, evaluate, compare.\n\n"
        "One project store keeps everything a study computes. Start with `hype init`, or run "
        "`hype demo` to see every step on the documentation of Python.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_hype)
    known = any(verb in verbs for verbs in PANELS.values())
    for panel, verbs in PANELS.items():
        for name, place in verbs.items():
            if not known or verb == name:
                _add(app, name, place, panel, outline=outline)
    return _bounded(typer.main.get_command(app))


def _bounded(command: Any) -> Any:
    """Limit the numbers of a command, and of those below it: whole ones to ``LARGEST``.

    Other numbers must be finite.
    The library has the same limit, and the store's columns hold no larger ones. It stands here
    once, not in each option, whose help then names the lower bound alone.
    """
    for below in getattr(command, "commands", {}).values():
        _bounded(below)
    for parameter in command.params:
        parameter.process_value = partial(_number_in_bounds, parameter, parameter.process_value)
    return command


def _number_in_bounds(parameter: Any, process: Callable[..., Any], context: Any, value: Any) -> Any:
    """Parse the value of an option, and refuse a number that is too large, or is none."""
    parsed = process(context, value)
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise typer.BadParameter("it must be a finite number", ctx=context, param=parameter)
    if isinstance(parsed, int) and abs(parsed) > LARGEST:
        side, limit = ("more", LARGEST) if parsed > 0 else ("less", -LARGEST)
        problem = f"it cannot be {side} than {limit:,}"
        raise typer.BadParameter(problem, ctx=context, param=parameter)
    return parsed


def _add(app: typer.Typer, name: str, place: str, panel: str, *, outline: bool) -> None:
    """Add a verb, or a group of commands, to a panel of the help."""
    module, _, attribute = place.partition(":")
    one = getattr(importlib.import_module(f"hypencli.cli.verbs.{module}"), attribute)
    if outline:
        app.command(name, rich_help_panel=panel)(_described(one))
    elif isinstance(one, typer.Typer):
        app.add_typer(one, name=name, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel)(one)


def _described(verb: Any) -> Callable[[], None]:
    """Return a function with the help of a verb, or of a group of commands, and no options."""

    def described() -> None:
        raise NotImplementedError

    described.__doc__ = verb.info.help if isinstance(verb, typer.Typer) else verb.__doc__
    return described


# Newer versions of Typer have their own copy of click, so the base class is taken from Typer.
_CommandLineError: type[typer.BadParameter] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _EscapedMessages(logging.Formatter):
    """Escapes log messages: the store's warnings quote names of files and ids."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_terminal(super().format(record))


def _usage(error: Any) -> str | None:
    """A hint to the help of the verb that was called wrongly."""
    return None if error.ctx is None else f"{error.ctx.command_path} --help shows its usage."


def run(arguments: list[str]) -> int:
    """Run a verb and return the exit code; 2 after printing a usage error.

    Args:
        arguments: The command line without the program's name.

    Raises:
        UsageError: The command line is wrong and asks for JSON.
        HypeError: The verb failed.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_EscapedMessages())
    try:
        named = any(word in verbs for verbs in PANELS.values() for word in arguments)
        verbs = command(next(iter(from_verb(arguments)), None), outline=not named)
        result = verbs.main(args=arguments, prog_name="hype", standalone_mode=False)
    except _CommandLineError as error:
        if wants_json(arguments):
            raise UsageError(error.format_message(), hint=_usage(error)) from error
        error.message = shorten_arguments(error.message, arguments)
        usage = io.StringIO()
        error.show(file=usage)
        typer.echo(escape_terminal(usage.getvalue()), err=True, nl=False)
        return int(error.exit_code)
    except typer.Abort as abort:
        raise KeyboardInterrupt from abort
    except _Stopped as stopped:
        raise stopped.reason from None
    return result if isinstance(result, int) else 0
