"""Malformed records of a release: the first one ends the preparation, or all are counted."""

from __future__ import annotations

from collections.abc import Mapping

from hypencli.data.training.counts import OccurrenceCounter, Occurrences
from hypencli.errors import DataError

EMPTY_TEXT = "empty texts"
UNKNOWN_ID = "unknown ids"


class MalformedRecords:
    """Counts or refuses records with an empty text or an unknown id.

    Args:
        lenient: Whether malformed records are counted; otherwise the first is an error.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._occurrences = OccurrenceCounter()

    def meet(self, kind: str, where: str, problem: str) -> None:
        """Count a malformed record, or refuse it.

        Args:
            kind: The kind of problem.
            where: File and line.
            problem: The problem in words.

        Raises:
            DataError: ``lenient`` is false.
        """
        if not self._lenient:
            raise DataError(
                f"{where}: {problem}.",
                hint="Correct the file, or count such records: `lenient=True`",
            )
        self._occurrences.add(kind, where)

    def all(self) -> Mapping[str, Occurrences]:
        """Kind of problem -> count and first place."""
        return self._occurrences.all()
