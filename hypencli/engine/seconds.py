"""The time that each part of a search takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class SearchSeconds:
    """The time of each part of a search, in seconds. Engines leave the first and the last at 0.

    Attributes:
        query_encoding: Reading the queries and making q-nets or vectors; for queries that the
            store has kept, the time that reading took when it was done.
        selection: Selecting the documents to score; 0 for exact search.
        scoring: Reading vectors and scoring them.
        topk: Keeping and ordering the best k.
        writing: Writing the run.
    """

    query_encoding: float = 0.0
    selection: float = 0.0
    scoring: float = 0.0
    topk: float = 0.0
    writing: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.query_encoding + self.search + self.writing

    @property
    def search(self) -> float:
        """The time of the engine: selection, scoring and top-k."""
        return self.selection + self.scoring + self.topk

    def plus(self, **parts: float) -> SearchSeconds:
        """Return these times with some parts increased."""
        return replace(self, **{name: getattr(self, name) + more for name, more in parts.items()})

    def __add__(self, other: SearchSeconds) -> SearchSeconds:
        return self.plus(**asdict(other))
