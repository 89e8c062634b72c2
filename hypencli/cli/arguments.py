"""The verb of a command line and whether it asks for JSON, before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


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
