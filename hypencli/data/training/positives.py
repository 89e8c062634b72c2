"""Which items of a training row are relevant, by the three rules that a recipe can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hypencli.records import TrainingItem, TrainingRow

Positives: TypeAlias = Literal["first", "type", "score_above"]


@dataclass(frozen=True, slots=True)
class PositiveRule:
    """Which items are relevant; the others of the row are negatives.

    Attributes:
        positives: The first item, those of ``positive_type``, or those scored above
            ``positive_score``.
        positive_type: With ``type``.
        positive_score: With ``score_above``.
    """

    positives: Positives = "first"
    positive_type: str = "positive"
    positive_score: float = 0.0

    def of(self, row: TrainingRow) -> tuple[int, ...]:
        """Positions of the relevant items within a row."""
        if self.positives == "first":
            return (0,)
        return tuple(i for i, item in enumerate(row.items) if self._holds(item))

    def _holds(self, item: TrainingItem) -> bool:
        if self.positives == "type":
            return item.type == self.positive_type
        return item.score is not None and item.score > self.positive_score

    @property
    def expectation(self) -> str:
        """What a row without a positive lacks."""
        if self.positives == "type":
            return f"an item of type {self.positive_type!r}"
        return f"an item that scores above {self.positive_score:g}"
