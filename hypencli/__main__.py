"""The program ``hype``, also ``python -m hypencli``: run a verb, report errors, set exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from hypencli.cli.arguments import from_verb, shorten_arguments, wants_json
from hypencli.cli.hints import options_in
from hypencli.errors import EXIT_STORE, DataError, HypeError, UsageError
from hypencli.escaping import escape_json, escape_terminal
from hypencli.process import OwnProcess, open_standard_streams
from hypencli.signals import (
    ReaderLeft,
    handle_signals,
    leave_to_the_system,
    raise_terminated,
    readers_left,
    silence,
    terminals,
)

EXIT_SIGNAL = 128
"""Added to the number of a signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal."""

EXIT_CLOSED_PIPE = 141

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_FILES = (errno.EMFILE, errno.ENFILE)

_GOING_ON = (
    *("encode", "train", "graph", "replicate", "teach", "demo"),
    *("import embeddings", "data prepare"),
)
"""Verbs that continue where they were stopped; the others start again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    Exit codes: 0 success, 1 other errors, 2 usage, 3 recipe, 4 store, 5 data, 6 model or device,
    128 plus the number of a signal, 141 for a closed pipe.

    Args:
        argv: The arguments. None takes those of this process and ends it with the exit code.
    """
    if argv is None:
        _program()
    debug = "--debug" in argv
    arguments = [argument for argument in argv if argument != "--debug"]
    drawn_on = terminals()
    with handle_signals(raise_terminated):
        try:
            return _answer(arguments, debug=debug)
        except KeyboardInterrupt as stop:
            return _stopped(stop, arguments)
        except BrokenPipeError as error:
            if not isinstance(error, ReaderLeft) and not readers_left():
                raise
            # The reader (`| head`) has left. Without this, Python would complain at shutdown.
            silence()
            return EXIT_CLOSED_PIPE
        except OSError as error:
            if error.errno != errno.EIO or terminals() == drawn_on:
                raise
            silence()
            return EXIT_SIGNAL + signal.SIGHUP


def _program() -> NoReturn:
    """Run the command line of this process, then end the process."""
    process = OwnProcess()
    open_standard_streams()
    try:
        process.code = main(sys.argv[1:])
    finally:
        leave_to_the_system()
    sys.exit(process.code)


def _answer(arguments: list[str], *, debug: bool) -> int:
    """Run a verb; turn an error into a message and an exit code."""
    try:
        _refuse_invalid_text(arguments)
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except HypeError as error:
        if debug:
            raise
        return _fail(error, error.hint, error.exit_code, arguments)
    except OSError as error:
        problem = _refused_by_the_system(error)
        if debug or problem is None:
            raise
        code = EXIT_STORE if error.errno in (*_NO_SPACE, *_NO_FILES) else problem.exit_code
        return _fail(problem, problem.hint, code, arguments)
    except Exception as error:
        # hypestore has its own error classes; verbs without a store do not import it.
        store = sys.modules.get("hypestore")
        if debug or store is None or not isinstance(error, store.StoreError):
            raise
        return _fail(error, error.hint, EXIT_STORE, arguments)


def _refuse_invalid_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: what is recorded, and what is printed, is UTF-8.

    Raises:
        UsageError: An argument is not UTF-8.
    """
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            shown = argument.encode("utf-8", "backslashreplace").decode("utf-8")
            raise UsageError(
                f"The argument {shown:.200} is not valid UTF-8.",
                hint="Give the file or folder a name that is UTF-8.",
            ) from None


def _refused_by_the_system(error: OSError) -> HypeError | None:
    """What the system refused, as an error that names the file; None if no file is to blame."""
    if error.errno in _NO_SPACE:
        if error.filename is None:
            silence((1,))  # Python would try to write the rest again at exit
        where = error.filename or "what the command prints"
        return HypeError(
            f"Cannot write {where}: {error.strerror}.",
            hint="Free some space and run the same command again.",
        )
    if error.errno in _NO_FILES:
        return HypeError(
            "The system lets this process open no more files.",
            hint="Allow more and run the same command again: ulimit -n 4096",
        )
    if isinstance(error, BrokenPipeError) or error.errno == errno.EIO:
        return None
    if error.filename is not None:
        return DataError(f"{os.fsdecode(error.filename)}: {error.strerror or error}.")
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return UsageError(
            "The current folder was deleted.", hint="Go to one that exists: cd FOLDER"
        )
    return None


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True


def _stopped(stop: KeyboardInterrupt, arguments: Sequence[str]) -> int:
    """Name the signal, and tell whether the same command would continue."""
    number = getattr(stop, "number", signal.SIGINT)
    how = "Interrupted" if number == signal.SIGINT else f"Ended by {signal.Signals(number).name}"
    verb = " ".join(from_verb(arguments)[:2])
    goes_on = any(verb == resumable or verb.startswith(f"{resumable} ") for resumable in _GOING_ON)
    kept = "What is done is kept: run the same command again to go on."
    with contextlib.suppress(OSError):
        _say(f"{how}. {kept if goes_on else 'Nothing is left half done.'}")
    return EXIT_SIGNAL + number


def _run(arguments: list[str]) -> int:
    from hypencli.cli.app import run

    return run(arguments)


def _fail(error: Exception, hint: str | None, code: int, arguments: Sequence[str]) -> int:
    message = shorten_arguments(str(error.args[0] if error.args else error), arguments)
    hint = None if hint is None else options_in(hint)
    if wants_json(arguments):
        problem = {
            "type": type(error).__name__,
            "message": message,
            "hint": hint,
            "exit_code": code,
        }
        sys.stdout.write(escape_json({"error": problem}) + "\n")
    else:
        _say(f"Error: {message}" + (f"\n{hint}" if hint else ""))
    return code


def _say(text: str) -> None:
    sys.stderr.write(escape_terminal(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
