"""Lines that are not what they should be: they end the reading, or are passed over and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from hypencli.errors import DataError

OnError: TypeAlias = Literal["stop", "skip"]

OnMalformed: TypeAlias = Callable[[DataError], None]
"""Told of a line that cannot be read; raises, or returns for the line to be passed over."""

KEPT = 5
"""Faults that are kept in words; the others are counted."""

T = TypeVar("T")


def stop(error: DataError) -> None:
    """End the reading.

    Raises:
        DataError: The fault.
    """
    raise error


def stop_with_hint(error: DataError) -> None:
    """End the reading of a corpus.

    Raises:
        DataError: The fault, with a hint on what leaves such lines out.
    """
    said = "" if error.hint is None else f"{error.hint} "
    advice = 'Correct the line, or leave such lines out: `on_error="skip"`'
    raise DataError(error.message, hint=said + advice) from error


@dataclass(slots=True)
class SkippedLines:
    """Lines that a reading passed over.

    Attributes:
        count: How many.
        first: The faults of the first few: file, line, and what is wrong there.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, error: DataError) -> None:
        """Pass over the line of a fault."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(error.message)


def attempt(make: Callable[[], T], on_malformed: OnMalformed) -> T | None:
    """What ``make`` gives, or None where it finds a fault that is passed over."""
    try:
        return make()
    except DataError as fault:
        on_malformed(fault)
        return None
