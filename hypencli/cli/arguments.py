"""What a command line says before it is parsed: its verb, and whether it asks for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def from_verb(arguments: Sequence[str]) -> list[str]:
    """A command line from its verb on, without ``--store`` and ``--json`` before the verb.

    Empty where there is no verb, or where another option, such as ``--help``, comes first.

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
    """Whether the result, or an error, is to be JSON: ``--json`` or ``--format json`` anywhere.

    Args:
        arguments: The command line without the program's name; what follows ``--`` is no option.
    """
    options = list(arguments)
    if "--" in options:
        del options[options.index("--") :]
    pairs = pairwise(options)
    return "--json" in options or "--format=json" in options or ("--format", "json") in pairs
