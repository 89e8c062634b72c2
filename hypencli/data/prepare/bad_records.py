"""Records that cannot be used: the first one stops, or all are counted."""

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
        """Note a fault.

        Raises:
            DataError: Faults are not to be counted.
        """
        if not self._lenient:
            raise DataError(
                f"{where}: {problem}.",
                hint="Correct the file, or count such records: `lenient=True`",
            )
        self._occurrences.add(kind, where)

    def all(self) -> Mapping[str, Occurrences]:
        """What was counted, by kind."""
        return self._occurrences.all()
