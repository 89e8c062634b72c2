"""``hype`` and ``python -m hypencli``: run a verb, turn errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hypencli.errors import EXIT_STORE, HypeError

EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done, 1 other, 2 usage, 3 recipe, 4 store, 5 data, 6 model or device, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        _say("Interrupted. What is done is kept: run the same command again to go on.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has left; keep the interpreter from complaining at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE
    except HypeError as error:
        if debug:
            raise
        return _fail(error, error.hint, error.exit_code, arguments)
    except Exception as error:
        # hypestore has a tree of its own, and is not imported by verbs that need no store.
        store = sys.modules.get("hypestore")
        if debug or store is None or not isinstance(error, store.StoreError):
            raise
        return _fail(error, error.hint, EXIT_STORE, arguments)


def _run(arguments: list[str]) -> int:
    from hypencli.cli.app import run

    return run(arguments)


def _fail(error: Exception, hint: str | None, code: int, arguments: Sequence[str]) -> int:
    message = str(error.args[0]) if error.args else str(error)
    if "--json" in arguments:
        import json

        problem = {
            "type": type(error).__name__,
            "message": message,
            "hint": hint,
            "exit_code": code,
        }
        sys.stdout.write(_printable(json.dumps({"error": problem}, ensure_ascii=False)) + "\n")
    else:
        _say(f"Error: {message}" + (f"\n{hint}" if hint else ""))
    return code


def _say(text: str) -> None:
    sys.stderr.write(_printable(text) + "\n")


def _printable(text: str) -> str:
    """Text without halves of surrogate pairs, which stand for bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


if __name__ == "__main__":
    sys.exit(main())
