"""Counts that fit in memory, whatever the number of rows: summaries of numbers, findings, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """Minimum, median and maximum; of two numbers in the middle, the median is the lower one."""

    count: int
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often something was met, and where first."""

    count: int
    first: str


class NumberCounter:
    """Numbers as they come, counted by value.

    Args:
        digits: Significant digits that values are rounded to, the extremes apart; None keeps them,
            for whole numbers. So many different values stay few counts.
    """

    def __init__(self, digits: int | None = None) -> None:
        self._digits = digits
        self._counts: Counter[float] = Counter()
        self._extremes: tuple[float, float] | None = None

    def add(self, values: Iterable[float]) -> None:
        """Count some numbers."""
        values = list(values)
        if not values:
            return
        low, high = self._extremes or (values[0], values[0])
        self._extremes = min(low, *values), max(high, *values)
        if self._digits is not None:
            values = [float(f"{value:.{self._digits}g}") for value in values]
        self._counts.update(values)

    def above(self, limit: float) -> int:
        """How many are above a limit."""
        return sum(count for value, count in self._counts.items() if value > limit)

    def summary(self) -> NumberSummary | None:
        """Minimum, median and maximum, or None where there were no numbers."""
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
    """What was met, by name."""

    def __init__(self) -> None:
        self._occurrences: dict[str, Occurrences] = {}

    def add(self, name: str, where: str, count: int = 1) -> None:
        """Note something that was met."""
        earlier = self._occurrences.get(name)
        first = where if earlier is None else earlier.first
        self._occurrences[name] = Occurrences(count + (earlier.count if earlier else 0), first)

    def all(self) -> Mapping[str, Occurrences]:
        """What was met."""
        return dict(self._occurrences)


class SeenTexts:
    """Texts and the ids they came under, as 64-bit hashes: some 200 bytes a distinct text."""

    def __init__(self) -> None:
        self._texts: set[int] = set()
        self._text_of_id: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, identifier: str, text: str) -> tuple[int, bool, bool]:
        """Note a text.

        Returns:
            Its hash, whether it is new, and whether its id came with another text before.
        """
        hashed = hash(text)
        before = self._text_of_id.setdefault(hash(identifier), hashed)
        new = hashed not in self._texts
        if new:
            self._texts.add(hashed)
        return hashed, new, before != hashed
