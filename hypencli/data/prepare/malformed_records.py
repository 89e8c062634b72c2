"""Malformed records of a release: the first one ends the preparation, or all are counted."""

from __future__ import annotations

from collections.abc import Mapping

from hypencli.data.training.counts import OccurrenceCounter, Occurrences
from hypencli.errors import DataError

EMPTY_TEXT = "empty texts"
UNKNOWN_ID = "unknown ids"


class MalformedRecords:
    """What to do with a record that has no text, or an id that nothing has.

    Args:
        lenient: Count them; otherwise the first one is an error.
    """

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._occurrences = OccurrenceCounter()

    def meet(self, kind: str, where: str, problem: str) -> None:
        """Note a malformed record.

        Args:
            kind: What it is counted under.
            where: File and line.
            problem: What is wrong with it.

        Raises:
            DataError: Malformed records are not to be counted.
        """
        if not self._lenient:
            raise DataError(
                f"{where}: {problem}.",
                hint="Correct the file, or count such records: `lenient=True`",
            )
        self._occurrences.add(kind, where)

    def all(self) -> Mapping[str, Occurrences]:
        """How many malformed records there were of each kind, and where the first was."""
        return self._occurrences.all()
