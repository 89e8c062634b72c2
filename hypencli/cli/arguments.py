"""The verb of a command line and whether it asks for JSON, before it is parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

LONGEST_SHOWN = 400
"""Characters of an argument that a message shows whole."""

_LONG_WORD = re.compile(rf"\S{{{LONGEST_SHOWN + 1},}}")


def from_verb(arguments: Sequence[str]) -> list[str]:
    """The arguments from the verb on.

    The result is empty without a verb, or if an option other than ``--store`` and ``--json``, such
    as ``--help``, stands before it.

    Args:
        arguments: The command line without the program's name.
    """
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--store":
            del rest[:1]
        elif option != "--json" and not option.startswith("--store="):
            return []
    return rest


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line has ``--json`` or ``--format json``.

    Args:
        arguments: The command line without the program's name. Texts after ``--`` are not options.
    """
    options = list(arguments)
    if "--" in options:
        del options[options.index("--") :]
    pairs = pairwise(options)
    return "--json" in options or "--format=json" in options or ("--format", "json") in pairs


def shorten_arguments(message: str, arguments: Sequence[str]) -> str:
    """Replace the middle of long arguments in a message by their length.

    Where an argument is long, a long word is taken for a part of it, such as the value in
    ``--set NAME=VALUE``, or for a path that was made of it.

    Args:
        message: The message.
        arguments: The command line without the program's name.
    """
    long = [argument for argument in arguments if len(argument) > LONGEST_SHOWN]
    if not long:
        return message
    for argument in sorted(long, key=len, reverse=True):
        message = message.replace(argument, _shortened(argument))
    return _LONG_WORD.sub(lambda word: _shortened(word[0]), message)


def _shortened(argument: str) -> str:
    begin, end = argument[: LONGEST_SHOWN // 2], argument[-LONGEST_SHOWN // 8 :]
    return f"{begin} … ({len(argument):,} characters) … {end}"
