"""Malformed lines: the first one ends the reading, or all are skipped and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from hypencli.errors import DataError

OnError: TypeAlias = Literal["stop", "skip"]

OnMalformed: TypeAlias = Callable[[DataError], None]
"""Told of a malformed line; raises, or returns for the line to be skipped."""

KEPT = 5
"""How many skipped lines are described; the others are counted."""

T = TypeVar("T")


def stop(error: DataError) -> None:
    """End the reading.

    Raises:
        DataError: What is wrong with the line.
    """
    raise error


def stop_with_hint(error: DataError) -> None:
    """End the reading of a corpus.

    Raises:
        DataError: What is wrong with the line, with a hint on how such lines are skipped.
    """
    said = "" if error.hint is None else f"{error.hint} "
    advice = 'Correct the line, or leave such lines out: `on_error="skip"`'
    raise DataError(error.message, hint=said + advice) from error


@dataclass(slots=True)
class SkippedLines:
    """Lines that a reading has skipped.

    Attributes:
        count: How many.
        first: The first few: file, line, and what is wrong there.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, error: DataError) -> None:
        """Skip a line."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(error.message)


def attempt(make: Callable[[], T], on_malformed: OnMalformed) -> T | None:
    """What ``make`` returns, or None where it raises on a malformed line that is skipped."""
    try:
        return make()
    except DataError as error:
        on_malformed(error)
        return None
