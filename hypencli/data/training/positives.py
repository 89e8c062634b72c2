"""The relevant items of a training row, by one of the three rules of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hypencli.records import TrainingItem, TrainingRow

Positives: TypeAlias = Literal["first", "type", "score_above"]


@dataclass(frozen=True, slots=True)
class PositiveRule:
    """Rule for the relevant items of a row. The other items are negatives.

    Attributes:
        positives: ``first`` for the first item, ``type`` for items of ``positive_type``, or
            ``score_above`` for items with a score above ``positive_score``.
        positive_type: Type for the rule ``type``.
        positive_score: Score for the rule ``score_above``.
    """

    positives: Positives = "first"
    positive_type: str = "positive"
    positive_score: float = 0.0

    def of(self, row: TrainingRow) -> tuple[int, ...]:
        """Return the positions of the relevant items in a row."""
        if self.positives == "first":
            return (0,)
        return tuple(i for i, item in enumerate(row.items) if self._holds(item))

    def _holds(self, item: TrainingItem) -> bool:
        if self.positives == "type":
            return item.type == self.positive_type
        return item.score is not None and item.score > self.positive_score

    @property
    def expectation(self) -> str:
        """Description of the item that a row without a positive lacks."""
        if self.positives == "type":
            return f"an item of type {self.positive_type!r}"
        return f"an item that scores above {self.positive_score:g}"
