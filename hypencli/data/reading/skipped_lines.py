"""Handle malformed lines: raise at the first one, or skip and count all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from hypencli.errors import DataError

OnError: TypeAlias = Literal["stop", "skip"]

OnMalformed: TypeAlias = Callable[[DataError], None]
"""Called with the error of a malformed line; it raises, or returns to skip the line."""

KEPT = 5
"""Maximum number of skipped lines that are described; further ones are only counted."""

T = TypeVar("T")


def stop(error: DataError) -> None:
    """Raise the error of a malformed line.

    Raises:
        DataError: Always: ``error``.
    """
    raise error


def stop_with_hint(error: DataError) -> None:
    """Raise the error of a malformed line, with a hint how to skip such lines.

    Raises:
        DataError: Always: ``error`` with the hint.
    """
    said = "" if error.hint is None else f"{error.hint} "
    advice = 'Correct the line, or leave such lines out: `on_error="skip"`'
    raise DataError(error.message, hint=said + advice) from error


@dataclass(slots=True)
class SkippedLines:
    """Counts the lines that were skipped during reading.

    Attributes:
        count: Number of skipped lines.
        first: Descriptions of the first few: file, line, problem.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, error: DataError) -> None:
        """Count a skipped line."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(error.message)


def attempt(make: Callable[[], T], on_malformed: OnMalformed) -> T | None:
    """Return the result of ``make``, or None if it fails at a malformed line that is skipped."""
    try:
        return make()
    except DataError as error:
        on_malformed(error)
        return None
