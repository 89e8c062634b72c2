"""Counters whose memory does not grow with the number of rows: numbers, findings, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """Minimum, median and maximum. Of two middle numbers, the median is the lower one."""

    count: int
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Number of occurrences of a finding, and the place of the first one."""

    count: int
    first: str


class NumberCounter:
    """Counts numbers by value.

    Args:
        digits: Number of significant digits to which values are rounded, except minimum and
            maximum. This limits the number of distinct values. None does not round, for whole
            numbers.
    """

    def __init__(self, digits: int | None = None) -> None:
        self._digits = digits
        self._counts: Counter[float] = Counter()
        self._extremes: tuple[float, float] | None = None

    def add(self, values: Iterable[float]) -> None:
        """Count numbers."""
        values = list(values)
        if not values:
            return
        low, high = self._extremes or (values[0], values[0])
        self._extremes = min(low, *values), max(high, *values)
        if self._digits is not None:
            values = [float(f"{value:.{self._digits}g}") for value in values]
        self._counts.update(values)

    def above(self, limit: float) -> int:
        """Return how many numbers are above a limit."""
        return sum(count for value, count in self._counts.items() if value > limit)

    def summary(self) -> NumberSummary | None:
        """Return minimum, median and maximum, or None if no number was counted."""
        if self._extremes is None:
            return None
        total = self._counts.total()
        reached = 0
        for value in sorted(self._counts):
            reached += self._counts[value]
            if 2 * reached >= total:
                return NumberSummary(total, self._extremes[0], value, self._extremes[1])
        return None


class OccurrenceCounter:
    """Counts findings by name."""

    def __init__(self) -> None:
        self._occurrences: dict[str, Occurrences] = {}

    def add(self, name: str, where: str, count: int = 1) -> None:
        """Count ``count`` occurrences of a finding."""
        earlier = self._occurrences.get(name)
        first = where if earlier is None else earlier.first
        self._occurrences[name] = Occurrences(count + (earlier.count if earlier else 0), first)

    def all(self) -> Mapping[str, Occurrences]:
        """Return the occurrences of each finding by name."""
        return dict(self._occurrences)


class SeenTexts:
    """Set of texts and their ids, stored as 64-bit hashes: about 200 bytes per distinct text."""

    def __init__(self) -> None:
        self._texts: set[int] = set()
        self._text_of_id: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, identifier: str, text: str) -> tuple[int, bool, bool]:
        """Add a text with its id.

        Returns:
            Hash of the text, whether the text is new, and whether the id occurred before with
                another text.
        """
        hashed = hash(text)
        before = self._text_of_id.setdefault(hash(identifier), hashed)
        new = hashed not in self._texts
        if new:
            self._texts.add(hashed)
        return hashed, new, before != hashed
