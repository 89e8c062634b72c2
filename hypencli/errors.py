"""The errors of ``hype`` and their exit codes.

    HypeError                 exit 1   the root: catching it catches all
    ├── UsageError            exit 2   arguments that contradict each other or name nothing
    ├── RecipeError           exit 3   a recipe that cannot be read or resolved
    ├── (hypestore.StoreError exit 4   its own tree, below this one: see hypestore.errors)
    ├── DataError             exit 5   corpora, queries, qrels, runs, training files
    ├── ModelError            exit 6   checkpoints, backbones, converters
    │   └── DeviceError       exit 6   a device or dtype that this machine does not have
    └── MissingDependencyError exit 2  an optional package that is not installed

A message says what is wrong, where, and what was expected. ``hint`` is the command to run next, or
the list of valid values.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_STORE = 4
"""Exit code of ``hypestore.StoreError``, which is not a :class:`HypeError`."""


class HypeError(Exception):
    """Root of the errors raised by ``hypencli``.

    Args:
        message: What is wrong, where, and what was expected.
        hint: What to do next: a command, or the valid values. It names Python arguments and recipe
            fields between backticks, as ``name=value``; the command line shows them as options.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


class UsageError(HypeError, ValueError):
    """Arguments that contradict each other or name something that does not exist."""

    exit_code = 2


class MissingDependencyError(HypeError, ImportError):
    """An optional package is needed and not installed; the hint is the install command."""

    exit_code = 2


class RecipeError(HypeError, ValueError):
    """A recipe that cannot be found, read, or resolved."""

    exit_code = 3


class DataError(HypeError, ValueError):
    """A corpus, query set, qrels, run or training file that is missing or malformed."""

    exit_code = 5


class ModelError(HypeError, ValueError):
    """A checkpoint, backbone, tokenizer or q-net converter that cannot be used."""

    exit_code = 6


class DeviceError(ModelError):
    """A device or dtype that this machine does not have."""


def did_you_mean(typed: str, candidates: Iterable[str]) -> str:
    """Suggest the nearest valid names in a sentence, followed by all of them.

    Args:
        typed: The name that the user wrote.
        candidates: The valid names.
    """
    names = sorted(set(candidates))
    near = difflib.get_close_matches(typed, names, n=3, cutoff=0.5)
    offer = f"Did you mean {' or '.join(repr(name) for name in near)}? " if near else ""
    return f"{offer}Known: {', '.join(names) or '(none)'}."
