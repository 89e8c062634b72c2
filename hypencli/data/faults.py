"""Lines that are not what they should be: they end the reading, or are passed over and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from hypencli.errors import DataError

OnError: TypeAlias = Literal["stop", "skip"]

OnFault: TypeAlias = Callable[[DataError], None]
"""Told of a line that cannot be read; raises, or returns for the line to be passed over."""

KEPT = 5
"""Faults that are kept in words; the others are counted."""

T = TypeVar("T")


def stop(fault: DataError) -> None:
    """End the reading.

    Raises:
        DataError: The fault.
    """
    raise fault


def stop_saying_how_to_go_on(fault: DataError) -> None:
    """End the reading of a corpus.

    Raises:
        DataError: The fault, with a hint on what leaves such lines out.
    """
    said = "" if fault.hint is None else f"{fault.hint} "
    advice = "Correct the line, or leave such lines out: hype encode --on-error skip"
    raise DataError(fault.message, hint=said + advice) from fault


@dataclass(slots=True)
class Skipped:
    """Lines that a reading passed over.

    Attributes:
        count: How many.
        first: The faults of the first few: file, line, and what is wrong there.
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def note(self, fault: DataError) -> None:
        """Pass over the line of a fault."""
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(fault.message)


def attempt(make: Callable[[], T], on_fault: OnFault) -> T | None:
    """What ``make`` gives, or None where it finds a fault that is passed over."""
    try:
        return make()
    except DataError as fault:
        on_fault(fault)
        return None
